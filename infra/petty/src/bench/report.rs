//! What a bench found: a table for people, JSON for programs.
//!
//! The JSON is `{environment, checks: [{name, value, unit, goal, pass}], details}`.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use petty_provision::Stack;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A figure with a goal.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What it is.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What it must be, in words: "at most 200".
    pub goal: String,
    /// Whether it is.
    pub pass: bool,
}

impl Check {
    /// A figure that must be no more than that.
    #[must_use]
    pub fn at_most(name: &str, value: f64, unit: &'static str, most: f64) -> Self {
        Self {
            name: name.to_owned(),
            value,
            unit,
            goal: format!("at most {}", figure(most)),
            pass: value <= most,
        }
    }

    /// A figure that must be no less than that.
    #[must_use]
    pub fn at_least(name: &str, value: f64, unit: &'static str, least: f64) -> Self {
        Self {
            name: name.to_owned(),
            value,
            unit,
            goal: format!("at least {}", figure(least)),
            pass: value >= least,
        }
    }
}

/// What a bench found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The bench.
    #[serde(skip)]
    pub name: &'static str,
    /// The machine, the servers and how durably they were set up.
    pub environment: Value,
    /// The figures with goals.
    pub checks: Vec<Check>,
    /// Everything else that was measured, by name.
    pub details: Map<String, Value>,
}

impl Report {
    /// Whether every goal is met.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.checks.iter().all(|check| check.pass)
    }

    /// Prints it.
    ///
    /// # Errors
    /// Where there is nobody to read it.
    pub fn print(&self) -> std::io::Result<()> {
        self.print_as("bench")
    }

    /// Prints it as what another command found.
    ///
    /// # Errors
    /// Where there is nobody to read it.
    pub fn print_as(&self, command: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{command} {}\n", self.name)?;
        if let Value::Object(environment) = &self.environment {
            for (name, value) in environment {
                writeln!(out, "  {name:<28} {}", plain(value))?;
            }
        }
        writeln!(out)?;
        for (name, value) in &self.details {
            writeln!(out, "  {name:<44} {}", plain(value))?;
        }
        writeln!(out, "\n  {:<44} {:>12}   {:<18} outcome", "check", "value", "goal")?;
        for check in &self.checks {
            let Check { name, value, unit, goal, pass } = check;
            let outcome = if *pass { "met" } else { "MISSED" };
            writeln!(out, "  {name:<44} {:>12}   {goal:<18} {outcome}", format!("{value:.2} {unit}"))?;
        }
        writeln!(out)
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))
    }
}

/// The machine, and the servers of a stack with the settings that decide what an acknowledgement is worth.
pub(super) async fn environment(stack: &Stack) -> anyhow::Result<Value> {
    let postgres = super::floor::connect(stack).await?;
    let mut settings = Map::new();
    for name in ["server_version", "fsync", "synchronous_commit", "full_page_writes"] {
        let row = postgres.query_one("SELECT current_setting($1)", &[&name]).await?;
        settings.insert(name.to_owned(), Value::String(row.try_get(0)?));
    }
    let mut environment = machine();
    environment["postgres"] = Value::Object(settings);
    environment["redis"] = "appendonly yes, appendfsync always".into();
    environment["load"] = "none beside the bench; all in one process but the two servers".into();
    Ok(environment)
}

/// The machine, and how this program was built.
pub(super) fn machine() -> Value {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "processor": processor.map_or("unknown", |(_, name)| name),
        "cores": cores,
        "build": if cfg!(debug_assertions) { "debug: figures mean nothing" } else { "optimised" },
    })
}

/// Short enough for a table, and whole where it is.
fn figure(value: f64) -> String {
    if value.fract() == 0.0 { value.to_string() } else { format!("{value:.2}") }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| format!("{name} {}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        Value::Number(number) => number
            .as_f64()
            .filter(|figure| figure.fract() != 0.0)
            .map_or(number.to_string(), |figure| format!("{figure:.2}")),
        other => other.to_string(),
    }
}
