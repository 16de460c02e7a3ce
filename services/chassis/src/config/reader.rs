//! Reads values and gathers faults.

use std::any::TypeId;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use secrecy::SecretString;

use super::Environment;

/// Reads one configuration. A fault is recorded and the reading goes on.
#[derive(Debug)]
pub struct Reader<'a> {
    environment: &'a Environment,
    faults: Faults,
}

/// Everything that is wrong with a configuration; one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    lines: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        let lines = environment.faults().map(|(name, fault)| format!("{name}: {fault}")).collect();
        Self { environment, faults: Faults { lines } }
    }

    /// A value that must be set.
    pub fn required<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr + 'static,
        T::Err: Display,
    {
        match self.text(name) {
            Text::Value(text) => self.parse(name, &text),
            Text::Unset => {
                self.fault(name, format!("is not set{}", example::<T>()));
                None
            }
            Text::Fault => None,
        }
    }

    /// A value that may be missing.
    pub fn optional<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr + 'static,
        T::Err: Display,
    {
        match self.text(name) {
            Text::Value(text) => self.parse(name, &text),
            Text::Unset | Text::Fault => None,
        }
    }

    /// A value, or `default` where it is not set.
    pub fn or<T>(&mut self, name: &str, default: T) -> T
    where
        T: FromStr + 'static,
        T::Err: Display,
    {
        self.optional(name).unwrap_or(default)
    }

    /// A number within bounds, or `default` where it is not set.
    pub fn in_range<T>(&mut self, name: &str, default: T, bounds: RangeInclusive<T>) -> T
    where
        T: FromStr + Copy + PartialOrd + Display + 'static,
        T::Err: Display,
    {
        let value = self.or(name, default);
        if bounds.contains(&value) {
            return value;
        }
        self.fault(name, format!("{value} is not within {} to {}", bounds.start(), bounds.end()));
        default
    }

    /// A secret that must be set. Its value is in no fault.
    pub fn secret(&mut self, name: &str) -> Option<SecretString> {
        match self.text(name) {
            Text::Value(text) => Some(text.into()),
            Text::Unset => {
                self.fault(
                    name,
                    format!("is not set; set it, or {name}_FILE to the path of a file that holds it"),
                );
                None
            }
            Text::Fault => None,
        }
    }

    /// A secret that may be missing.
    pub fn secret_optional(&mut self, name: &str) -> Option<SecretString> {
        match self.text(name) {
            Text::Value(text) => Some(text.into()),
            Text::Unset | Text::Fault => None,
        }
    }

    /// A span of time as `500ms`, `5s`, `2m`, `1h`, or `default` where it is not set.
    pub fn duration(&mut self, name: &str, default: Duration) -> Duration {
        let Text::Value(text) = self.text(name) else { return default };
        parse_duration(&text).unwrap_or_else(|| {
            self.fault(name, format!("{} is no span of time, e.g. 500ms, 5s, 2m, 1h", shown(&text)));
            default
        })
    }

    /// Values separated by commas; none where it is not set.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        let Text::Value(text) = self.text(name) else { return Vec::new() };
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// The variables whose name begins with `prefix`, without it; those given by file count as well.
    pub fn with_prefix(&self, prefix: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .environment
            .with_prefix(prefix)
            .map(|name| name.strip_suffix("_FILE").unwrap_or(name).to_owned())
            .collect();
        names.dedup();
        names
    }

    /// Records a fault. `problem` must not hold a secret.
    pub fn fault(&mut self, name: &str, problem: impl Display) {
        self.faults.lines.push(format!("{name}: {problem}"));
    }

    pub(super) fn into_faults(self) -> Faults {
        self.faults
    }

    fn parse<T>(&mut self, name: &str, text: &str) -> Option<T>
    where
        T: FromStr + 'static,
        T::Err: Display,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(name, format!("{} is not valid: {error}{}", shown(text), example::<T>()));
                None
            }
        }
    }

    /// The text of a variable, or of the file that `<NAME>_FILE` names.
    fn text(&mut self, name: &str) -> Text {
        let file_name = format!("{name}_FILE");
        match (self.environment.get(name), self.environment.get(&file_name)) {
            (Some(text), None) => Text::Value(text.to_owned()),
            (None, None) => Text::Unset,
            (Some(_), Some(_)) => {
                self.fault(name, format!("is set, and so is {file_name}; set one of them"));
                Text::Fault
            }
            (None, Some(path)) => match std::fs::read_to_string(path) {
                Ok(text) if text.trim().is_empty() => {
                    self.fault(&file_name, format!("{path} is empty"));
                    Text::Fault
                }
                Ok(text) => Text::Value(text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => {
                    self.fault(&file_name, format!("{path} cannot be read: {error}"));
                    Text::Fault
                }
            },
        }
    }
}

impl Faults {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Each fault.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// A section that gave up without saying why is still a fault.
    pub(super) fn or_unnamed(mut self) -> Self {
        if self.lines.is_empty() {
            self.lines.push("the configuration is incomplete".to_owned());
        }
        self
    }
}

impl Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for Faults {}

enum Text {
    Value(String),
    Unset,
    Fault,
}

/// A value as a fault shows it: not at any length.
fn shown(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return format!("{text:?}");
    }
    format!("{:?}…", text.chars().take(MOST).collect::<String>())
}

/// What a good value looks like, by its type.
fn example<T: 'static>() -> &'static str {
    let of = TypeId::of::<T>();
    if of == TypeId::of::<SocketAddr>() {
        ", e.g. 127.0.0.1:7101"
    } else if of == TypeId::of::<bool>() {
        ", e.g. true"
    } else if of == TypeId::of::<PathBuf>() {
        ", e.g. /etc/petty/tls.crt"
    } else if of == TypeId::of::<Uri>() {
        ", e.g. http://127.0.0.1:7101"
    } else if [TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>(), TypeId::of::<usize>()]
        .contains(&of)
    {
        ", e.g. 16"
    } else {
        ""
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let millis = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}
