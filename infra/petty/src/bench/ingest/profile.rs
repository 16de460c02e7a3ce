//! What the machine is busy with while readings come in: `perf`, where there is one that may look.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

/// So many lines of it.
const LINES: usize = 16;

/// The parts of the busy time, by program and function, of so long from now on.
pub(super) async fn watch(span: Duration) -> Vec<Value> {
    let file = std::env::temp_dir().join(format!("petty-bench-{}.perf", std::process::id()));
    let record = Command::new("perf")
        .args(["record", "-q", "-a", "-F", "499", "-o"])
        .arg(&file)
        .args(["--", "sleep", &span.as_secs().max(1).to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    let mut found = Vec::new();
    if record.is_ok_and(|status| status.success()) {
        for sort in ["comm", "comm,symbol"] {
            let report = Command::new("perf")
                .args(["report", "-q", "--stdio", "--sort", sort, "-i"])
                .arg(&file)
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .output()
                .await;
            let text = report.map(|report| String::from_utf8_lossy(&report.stdout).into_owned());
            let lines = text.unwrap_or_default();
            let lines =
                lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains("swapper"));
            found.extend(lines.take(LINES).map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                Value::String(words.join(" "))
            }));
        }
    }
    tokio::fs::remove_file(&file).await.ok();
    if found.is_empty() {
        found.push(Value::String("no perf that may look here".to_owned()));
    }
    found
}
