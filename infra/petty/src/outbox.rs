//! `petty outbox`: events that go out again.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::ensure;
use jiff::Timestamp;
use petty_chassis::events::topics;
use petty_proto::events::v1::ReplayEventsRequest;

use crate::cli::{OutboxArgs, OutboxCommand};
use crate::mesh::SERVICES;
use crate::operator::{Operator, refused};

/// Does what the command says.
///
/// # Errors
/// Where nobody is to be asked, or a service cannot be asked, or refuses.
pub async fn run(args: OutboxArgs, now: Timestamp) -> anyhow::Result<ExitCode> {
    let OutboxCommand::Replay { since, service, topic } = args.command;
    let wanted = wanted(service.as_deref(), topic.as_deref())?;
    let operator = Operator::new(&args.operator).await?;
    operator.must_know(wanted.iter().copied())?;
    let since = since.before(now);
    let mut out = std::io::stdout();
    for service in wanted {
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

/// Who is asked: whoever produces it.
fn wanted(service: Option<&str>, topic: Option<&str>) -> anyhow::Result<Vec<&'static str>> {
    let is_wanted = |name: &&str| service.is_none_or(|service| service == *name);
    let produces = |name: &&str| {
        topic.is_none_or(|topic| topics::produced_by(name).any(|produced| produced.name == topic))
    };
    let wanted: Vec<&str> = SERVICES.into_iter().filter(is_wanted).filter(produces).collect();
    ensure!(
        !wanted.is_empty(),
        "nothing goes out again: {} does not produce {}",
        service.unwrap_or("nobody"),
        topic.unwrap_or("anything")
    );
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_are_asked_who_produce_it_and_one_who_does_not_is_told() {
        assert_eq!(wanted(None, None).unwrap(), SERVICES);
        assert_eq!(wanted(None, Some("readings.accepted")).unwrap(), ["ingest"]);
        assert_eq!(wanted(None, Some("data.erased")).unwrap().len(), 5);
        assert_eq!(wanted(Some("timeline"), None).unwrap(), ["timeline"]);
        let refused = wanted(Some("timeline"), Some("readings.accepted")).unwrap_err().to_string();
        assert!(refused.contains("timeline does not produce readings.accepted"), "{refused}");
    }
}
