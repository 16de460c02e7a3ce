//! The checked-in table: `tests/access-matrix.md`.

use std::collections::BTreeMap;

use petty_proto::policy::MethodPolicy;

use super::callers::Who;

/// The table's text.
const TEXT: &str = include_str!("../../../access-matrix.md");

/// The table.
pub(super) struct Table {
    rows: BTreeMap<String, Row>,
}

/// What the table says of one method.
#[derive(Debug)]
pub(super) struct Row {
    /// The services that may call it, in the order of their names.
    pub(super) services: Vec<String>,
    outcomes: Vec<String>,
}

impl Table {
    pub(super) fn read() -> Self {
        let mut lines = TEXT.lines().filter(|line| line.starts_with('|')).map(cells);
        let head: Vec<&str> = Who::ALL.into_iter().map(Who::name).collect();
        assert_eq!(lines.next().unwrap_or_default()[2..], head, "the table's columns");
        let mut rows = BTreeMap::new();
        for row in lines.filter(|row| !row[0].starts_with('-')) {
            assert_eq!(row.len(), head.len() + 2, "{row:?}");
            let path = format!("/petty.{}", row[0].trim_matches('`'));
            let services = row[1].split(' ').map(str::to_owned).collect();
            let outcomes: Vec<String> = row[2..].iter().map(|&cell| cell.to_owned()).collect();
            let known =
                outcomes.iter().all(|outcome| ["ok", "401", "403", "404"].contains(&outcome.as_str()));
            assert!(known, "{row:?}");
            assert!(rows.insert(path, Row { services, outcomes }).is_none(), "twice: {row:?}");
        }
        Self { rows }
    }

    pub(super) fn row(&self, path: &str) -> Option<&Row> {
        self.rows.get(path)
    }

    pub(super) fn methods(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }
}

impl Row {
    pub(super) fn cells(&self) -> impl Iterator<Item = (Who, &str)> {
        Who::ALL.into_iter().zip(self.outcomes.iter().map(String::as_str))
    }

    /// A row as the table has it.
    pub(super) fn write(policy: &MethodPolicy, outcomes: &[String]) -> String {
        let mut services = policy.services.to_vec();
        services.sort_unstable();
        let method = policy.path.trim_start_matches("/petty.");
        format!("| `{method}` | {} | {} |", services.join(" "), outcomes.join(" | "))
    }
}

fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split('|').map(str::trim).collect()
}
