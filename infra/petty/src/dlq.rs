//! `petty dlq`: what could not be handled.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use jiff::Timestamp;
use petty_proto::events::v1 as wire;
use petty_proto::events::v1::redrive_dead_letter_response::Outcome;
use petty_proto::wkt;
use serde_json::json;

use crate::cli::{Chosen, DlqArgs, DlqCommand, LetterId, Which};
use crate::mesh::SERVICES;
use crate::operator::{Operator, refused};
use crate::up::tell;

/// So many are asked for at once.
const PAGE: i32 = 500;

/// A dead letter, and which service has it.
struct Found {
    id: LetterId,
    letter: wire::DeadLetter,
}

/// Does what the command says; 1 where something failed again, was refused, or was named and is not there.
///
/// # Errors
/// Where a service cannot be asked, or refuses.
pub async fn run(args: DlqArgs) -> anyhow::Result<ExitCode> {
    let operator = Operator::new(&args.operator).await?;
    match args.command {
        DlqCommand::List { which, limit, json } => list(&operator, &which, limit, json).await,
        DlqCommand::Show { letter } => show(&operator, &letter).await,
        DlqCommand::Redrive(chosen) => redrive(&operator, &chosen).await,
        DlqCommand::Drop(chosen) => give_up(&operator, &chosen).await,
    }
}

/// All that are asked for, at most `limit` of each service.
async fn find(operator: &Operator, which: &Which, limit: usize) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    let is_wanted = |name: &&str| which.service.as_deref().is_none_or(|wanted| wanted == *name);
    let wanted: Vec<&str> = SERVICES.into_iter().filter(is_wanted).collect();
    operator.must_know(wanted.iter().copied())?;
    for service in wanted {
        let (mut page_token, begin) = (String::new(), found.len());
        loop {
            let request = wire::ListDeadLettersRequest {
                topic: which.topic.clone().unwrap_or_default(),
                pet_id: which.pet.clone().unwrap_or_default(),
                page_size: PAGE,
                page_token,
            };
            let answer = operator.events_of(service).list_dead_letters(operator.request(request)?).await;
            let page = answer.map_err(|status| refused(service, &status))?.into_inner();
            found.extend(page.letters.into_iter().map(|letter| Found {
                id: LetterId {
                    service: service.to_owned(),
                    event_id: letter.event_id.clone(),
                    pet_id: letter.pet_id.clone(),
                },
                letter,
            }));
            page_token = page.next_page_token;
            if page_token.is_empty() || found.len() - begin >= limit {
                break;
            }
        }
        found.truncate(begin.saturating_add(limit));
    }
    Ok(found)
}

async fn list(operator: &Operator, which: &Which, limit: u32, as_json: bool) -> anyhow::Result<ExitCode> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // One more, to know whether there are more.
    let mut found = find(operator, which, limit.saturating_add(1)).await?;
    found.sort_by_key(|found| std::cmp::Reverse(time(found.letter.create_time)));
    let are_more = found.len() > limit;
    found.truncate(limit);
    let mut text = String::new();
    for Found { id, letter } in &found {
        let (since, until) = (time(letter.create_time), time(letter.expire_time));
        if as_json {
            let line = json!({
                "id": id.to_string(), "service": id.service, "event_id": id.event_id, "pet_id": id.pet_id,
                "topic": letter.topic, "source": letter.source, "shard": letter.shard, "number": letter.number,
                "reason": letter.reason().as_str_name(), "error": letter.error, "redrives": letter.redrives,
                "create_time": since.to_string(), "expire_time": until.to_string(), "size_bytes": letter.size_bytes,
            });
            text.push_str(&format!("{line}\n"));
        } else {
            let tried = match letter.redrives {
                0 => String::new(),
                times => format!(", redriven {times} times"),
            };
            text.push_str(&format!(
                "{id}\n  {since:.0}  {}  {}{tried}: {}\n",
                letter.topic,
                letter.reason().as_str_name(),
                letter.error
            ));
        }
    }
    if found.is_empty() && !as_json {
        text.push_str("There are no dead letters.\n");
    }
    std::io::stdout().write_all(text.as_bytes())?;
    if are_more {
        // Not among the lines of JSON.
        tell(&format!("These are the youngest {limit}, and there are more: --limit N lists more of them."));
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(operator: &Operator, id: &LetterId) -> anyhow::Result<ExitCode> {
    operator.must_know([id.service.as_str()])?;
    let request = wire::GetDeadLetterRequest { event_id: id.event_id.clone(), pet_id: id.pet_id.clone() };
    let answer = operator.events_of(&id.service).get_dead_letter(operator.request(request)?).await;
    let shown = answer.map_err(|status| refused(&id.service, &status))?.into_inner();
    let letter = shown.letter.as_ref().context("the service answered without the dead letter")?;
    let mut text = format!("{id}\n");
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<12}{value}\n"));
    line("topic", letter.topic.clone());
    line("reason", letter.reason().as_str_name().to_owned());
    line("error", letter.error.clone());
    line("since", format!("{:.0}, goes by itself {:.0}", time(letter.create_time), time(letter.expire_time)));
    if letter.redrives > 0 {
        line("redriven", format!("{} times, last {:.0}", letter.redrives, time(letter.redrive_time)));
    }
    if shown.event_time.is_some() {
        line("written", format!("{} by {}", time(shown.event_time), letter.source));
        line("place", format!("shard {}, number {}", letter.shard, letter.number));
        line("version", shown.version.to_string());
    }
    if !shown.traceparent.is_empty() {
        line("trace", shown.traceparent.clone());
    }
    line("size", format!("{} bytes", letter.size_bytes));
    if !shown.unreadable.is_empty() {
        line("unreadable", shown.unreadable.clone());
    }
    for field in &shown.fields {
        let values =
            if field.values.is_empty() { String::new() } else { format!(" = {}", field.values.join(", ")) };
        text.push_str(&format!("    {} ({} × {}){values}\n", field.path, field.count, field.r#type));
    }
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Those that are meant, in the order in which they were sent.
async fn chosen(operator: &Operator, chosen: &Chosen) -> anyhow::Result<Vec<LetterId>> {
    if !chosen.all {
        operator.must_know(chosen.letters.iter().map(|letter| letter.service.as_str()))?;
        return Ok(chosen.letters.clone());
    }
    let mut found = find(operator, &chosen.which, usize::MAX).await?;
    found.sort_by(|a, b| {
        let place = |found: &Found| (found.letter.shard, found.letter.number);
        (&a.id.service, &a.letter.topic, &a.letter.source, place(a)).cmp(&(
            &b.id.service,
            &b.letter.topic,
            &b.letter.source,
            place(b),
        ))
    });
    Ok(found.into_iter().map(|found| found.id).collect())
}

/// What became of some dead letters.
#[derive(Debug, Default)]
struct Tally {
    done: usize,
    failed: usize,
    forgotten: usize,
    not_there: usize,
    refused: usize,
}

impl Tally {
    /// `done` and what else there is to say.
    fn told(&self, done: String) -> String {
        let Self { forgotten, not_there, refused, .. } = *self;
        let rest = [
            (forgotten, "about somebody who is forgotten"),
            (not_there, "not there (any more)"),
            (refused, "refused"),
        ];
        let rest =
            rest.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
        format!("{done}{}.", rest.collect::<String>())
    }

    /// Of all that were found, one that is gone meanwhile was seen to by somebody else; one that was named may be misspelt.
    fn exit_code(&self, which: &Chosen) -> ExitCode {
        let is_missed = !which.all && self.not_there > 0;
        if self.failed > 0 || self.refused > 0 || is_missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

async fn redrive(operator: &Operator, which: &Chosen) -> anyhow::Result<ExitCode> {
    let letters = chosen(operator, which).await?;
    let (mut out, mut tally) = (std::io::stdout(), Tally::default());
    for id in &letters {
        let request =
            wire::RedriveDeadLetterRequest { event_id: id.event_id.clone(), pet_id: id.pet_id.clone() };
        let answer = operator.events_of(&id.service).redrive_dead_letter(operator.request(request)?).await;
        let (count, told) = match answer.map(tonic::Response::into_inner) {
            Ok(answer) => match answer.outcome() {
                Outcome::Applied => (&mut tally.done, "applied".to_owned()),
                Outcome::Forgotten => {
                    (&mut tally.forgotten, "gone: it is about somebody who is forgotten".to_owned())
                }
                Outcome::NotThere => (&mut tally.not_there, "not there (any more)".to_owned()),
                Outcome::Failed | Outcome::Unspecified => {
                    (&mut tally.failed, format!("failed again: {}", answer.error))
                }
            },
            // The others do not wait for this one.
            Err(status) => {
                (&mut tally.refused, format!("was not redriven: {}", refused(&id.service, &status)))
            }
        };
        *count += 1;
        writeln!(out, "{id} {told}")?;
    }
    writeln!(out, "{}", tally.told(format!("{} redriven, {} failed again", tally.done, tally.failed)))?;
    Ok(tally.exit_code(which))
}

async fn give_up(operator: &Operator, which: &Chosen) -> anyhow::Result<ExitCode> {
    let letters = chosen(operator, which).await?;
    let (mut out, mut tally) = (std::io::stdout(), Tally::default());
    for id in &letters {
        let request =
            wire::DropDeadLetterRequest { event_id: id.event_id.clone(), pet_id: id.pet_id.clone() };
        let answer = operator.events_of(&id.service).drop_dead_letter(operator.request(request)?).await;
        let (count, told) = match answer.map(tonic::Response::into_inner) {
            Ok(wire::DropDeadLetterResponse { dropped: true }) => (&mut tally.done, "dropped".to_owned()),
            Ok(_) => (&mut tally.not_there, "not there (any more)".to_owned()),
            Err(status) => {
                (&mut tally.refused, format!("was not dropped: {}", refused(&id.service, &status)))
            }
        };
        *count += 1;
        writeln!(out, "{id} {told}")?;
    }
    writeln!(out, "{}", tally.told(format!("{} dropped", tally.done)))?;
    Ok(tally.exit_code(which))
}

fn time(time: Option<wkt::Timestamp>) -> Timestamp {
    time.and_then(|time| Timestamp::try_from(time).ok()).unwrap_or_default()
}
