//! Where configuration comes from.

use std::collections::BTreeMap;
use std::fmt;

/// The prefix of every variable of ours.
const PREFIX: &str = "PETTY_";
/// Names a file of `NAME=value` lines.
const CONFIG_FILE: &str = "PETTY_CONFIG_FILE";

/// Variables by name. Values are not shown: some are secret.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
    faults: Vec<(String, String)>,
}

impl Environment {
    /// The process' `PETTY_…` variables, and below them those of the file that `PETTY_CONFIG_FILE` names.
    #[must_use]
    pub fn from_process() -> Self {
        let mut environment = Self::default();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            match value.into_string() {
                Ok(value) => drop(environment.values.insert(name.to_owned(), value)),
                Err(_) => environment.faults.push((name.to_owned(), "is not UTF-8".to_owned())),
            }
        }
        if let Some(path) = environment.get(CONFIG_FILE).map(str::to_owned) {
            environment.add_file(&path);
        }
        environment
    }

    /// The same, with one variable set.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.insert(name.into(), value.into());
    }

    /// A variable's value. An empty one counts as not set, as templates leave them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All variables; for handing them to a process of one's own.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The variables whose name begins with `prefix`, without it.
    pub(super) fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.values.keys().filter_map(move |name| name.strip_prefix(prefix))
    }

    /// What was wrong with the environment itself.
    pub(super) fn faults(&self) -> impl Iterator<Item = (&str, &str)> {
        self.faults.iter().map(|(name, fault)| (name.as_str(), fault.as_str()))
    }

    fn add_file(&mut self, path: &str) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.faults.push((CONFIG_FILE.to_owned(), format!("{path} cannot be read: {error}")));
                return;
            }
        };
        self.add_lines(path, &text);
    }

    /// Lines of `NAME=value`; empty ones and those that begin with `#` are skipped. What is set already stays.
    pub(super) fn add_lines(&mut self, path: &str, text: &str) {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once('=') {
                Some((name, value)) if name.trim_end().starts_with(PREFIX) => {
                    self.values.entry(name.trim_end().to_owned()).or_insert_with(|| value.trim().to_owned());
                }
                _ => {
                    // Not the line itself: it may be the second line of a secret.
                    let fault = format!("{path}, line {}: is not {PREFIX}…=value", index + 1);
                    self.faults.push((CONFIG_FILE.to_owned(), fault));
                }
            }
        }
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let values = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { values, faults: Vec::new() }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.values.keys()).finish()
    }
}
