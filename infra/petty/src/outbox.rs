//! `petty outbox`: events that go out again.

use std::io::Write as _;
use std::process::ExitCode;

use jiff::Timestamp;
use petty_proto::events::v1::ReplayEventsRequest;

use crate::cli::{OutboxArgs, OutboxCommand};
use crate::operator::{Operator, refused};

/// Does what the command says.
///
/// # Errors
/// Where a service cannot be asked, or refuses.
pub async fn run(args: OutboxArgs, now: Timestamp) -> anyhow::Result<ExitCode> {
    let operator = Operator::new(&args.operator).await?;
    let OutboxCommand::Replay { since, service: wanted, topic } = args.command;
    let since = since.before(now);
    let mut out = std::io::stdout();
    for &service in operator.services() {
        if wanted.as_deref().is_some_and(|wanted| wanted != service) {
            continue;
        }
        // A topic that a service does not produce is no fault where every service is asked.
        if wanted.is_none() && topic.as_deref().is_some_and(|topic| !produces(service, topic)) {
            continue;
        }
        let (mut count, mut page_token) = (0, String::new());
        loop {
            let topic = topic.clone().unwrap_or_default();
            let request = ReplayEventsRequest { since: Some(since.into()), topic, page_token };
            let answer = operator.events_of(service).replay_events(operator.request(request)?).await;
            let page = answer.map_err(|status| refused(service, &status))?.into_inner();
            count += page.count;
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        writeln!(out, "{service:<10} {count} events go out again")?;
    }
    writeln!(out, "Who has handled them knows them, and handles them no second time.")?;
    Ok(ExitCode::SUCCESS)
}

fn produces(service: &str, topic: &str) -> bool {
    petty_chassis::events::topics::produced_by(service).any(|known| known.name == topic)
}
