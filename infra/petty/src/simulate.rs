//! `petty simulate`: believable days of made-up pets, through REST, as collars would send them.
//!
//! Invariant: a reading follows from seed, pet and moment alone. Nothing is remembered between runs, and running it again
//! makes the same readings: those that are there already are duplicates, and do no harm.

pub mod chance;
pub mod day;
pub(crate) mod household;
pub mod path;
pub mod pet;
pub mod places;
pub mod reading;
pub mod stream;
#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::process::ExitCode;

use futures::{StreamExt as _, TryStreamExt as _, stream as futures_stream};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use petty_chassis::types::Clock;
use petty_chassis::{Shutdown, shutdown};

use self::chance::key;
use self::household::{Household, Member};
use self::pet::Pet;
use crate::cli::SimulateArgs;
use crate::client::patience::{AT_ONCE, Listener, persist, sign_in};
use crate::client::wearer::Outcome;
use crate::client::{Account, Client};
use crate::progress;

/// Does it, and tells about it on stdout. Exits with 0 only if every reading was acknowledged.
///
/// # Errors
///
/// No gateway, a refused log-in, a pet or collar that cannot be made; what became of the readings is in the exit code.
pub async fn run(args: SimulateArgs, clock: Clock) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    let gateway = args.gateway.url()?;
    let shutdown = Shutdown::new();
    shutdown::listen_for_signals(&shutdown)?;
    let interval = SignedDuration::from_secs(i64::from(args.interval));
    let client = Client::new(&gateway)?;
    let account = Account { email: args.email.clone(), password: args.password.clone().into() };
    writeln!(out, "{}", introduction(&args, &gateway))?;

    let bar = progress::endless()?;
    let listener: Listener<'_> = &|news| progress::show(&bar, news);
    let now = clock.now();
    let mut members = tokio::select! {
        members = gather(&client, &account, &args, now, listener) => members?,
        () = shutdown.draining() => anyhow::bail!("stopped before the pets were ready; nothing was sent"),
    };
    if args.days.is_some() {
        // About: a few readings in a hundred never reach the gateway, as in life.
        let planned: i64 = members.iter().map(|member| member.ahead(now, interval)).sum();
        let bar = progress::bar(planned.unsigned_abs())?;
        let listener: Listener<'_> = &|news| progress::show(&bar, news);
        members = futures_stream::iter(members)
            .map(|member| back_fill(member, &client, now, interval, listener, &shutdown))
            .buffered(AT_ONCE)
            .collect()
            .await;
        bar.finish_and_clear();
    }
    if args.goes_live() && !shutdown.is_draining() {
        writeln!(out, "Live, every {} s. Ctrl-C stops it.", args.interval)?;
        let at_once = members.len().max(1);
        members = futures_stream::iter(members)
            .map(|member| live(member, &client, &clock, interval, listener, &shutdown))
            .buffer_unordered(at_once)
            .collect()
            .await;
    }
    bar.finish_and_clear();
    let outcome = Outcome { animals: members.into_iter().map(Member::finish).collect() };
    writeln!(out, "{}", outcome.summary(&args.email))?;
    Ok(if outcome.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Each pet with its collar on.
async fn gather(
    client: &Client,
    account: &Account,
    args: &SimulateArgs,
    now: Timestamp,
    listener: Listener<'_>,
) -> anyhow::Result<Vec<Member>> {
    let token = sign_in(client, account, listener).await?;
    let known = persist(listener, || client.pets(&token)).await?;
    let run = format!("{:x}", now.as_millisecond());
    let household = Household { client, token: &token, known: &known, now, run, listener };
    let pets = pet::household(args.seed, args.pets, args.time_zone.as_ref());
    let members = futures_stream::iter(pets.into_iter().enumerate())
        .map(|(number, pet)| {
            household.equip(pet, collar_id(&account.email, args.seed, number), |pet| match args.days {
                Some(days) => begin(&pet.time_zone, now, days),
                None => now,
            })
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(members)
}

/// The midnight that so many days lie after, today not counted, where the pet lives.
pub(crate) fn begin(zone: &TimeZone, now: Timestamp, days: u8) -> Timestamp {
    let today = now.to_zoned(zone.clone()).date();
    let first = today.checked_sub(Span::new().days(days)).unwrap_or(today);
    let midnight = first.to_zoned(zone.clone()).map_or(now, |midnight| midnight.timestamp());
    midnight.max(now - crate::client::REACH)
}

/// The same account and seed always use the same collars; another account or seed uses others.
fn collar_id(email: &str, seed: u64, number: usize) -> String {
    let email: Vec<u64> = email.to_lowercase().bytes().map(u64::from).collect();
    format!("S{:08x}-{number}", key(&[key(&email), seed]) >> 32)
}

async fn back_fill(
    mut member: Member,
    client: &Client,
    to: Timestamp,
    interval: SignedDuration,
    listener: Listener<'_>,
    shutdown: &Shutdown,
) -> Member {
    if !member.send(client, to, interval, listener, shutdown).await && member.sent().gave_up.is_none() {
        member.give_up("stopped half-way");
    }
    member
}

async fn live(
    mut member: Member,
    client: &Client,
    clock: &Clock,
    interval: SignedDuration,
    listener: Listener<'_>,
    shutdown: &Shutdown,
) -> Member {
    while !shutdown.is_draining() {
        // What was not sent is sent the next time: that is what a collar does.
        member.send(client, clock.now(), interval, listener, shutdown).await;
        tokio::select! {
            () = shutdown.draining() => {}
            () = tokio::time::sleep(member.due_in(clock.now(), interval)) => {}
        }
    }
    member
}

fn introduction(args: &SimulateArgs, gateway: &str) -> String {
    let pets = if args.pets == 1 { "pet" } else { "pets" };
    let zones = args.time_zone.as_ref().and_then(TimeZone::iana_name);
    let zones = zones.map_or_else(|| "in up to ten time zones".to_owned(), |zone| format!("in {zone}"));
    let days = match args.days {
        Some(1) => "the past day, and today so far, ".to_owned(),
        Some(days) => format!("the past {days} days, and today so far, "),
        None => String::new(),
    };
    format!(
        "{} simulated {pets} {zones}, {days}every {} s, to {gateway} (account {}, seed {})",
        args.pets, args.interval, args.email, args.seed
    )
}

/// Makes the household of the demo out of pets of the simulator.
pub(crate) fn named(seed: u64, number: u32, name: &str, zone: TimeZone) -> Pet {
    Pet { name: name.to_owned(), ..Pet::of(seed, number, Some(&zone)) }
}
