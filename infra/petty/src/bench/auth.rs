//! What identity costs: a verification beside the RSA arithmetic in it, a log-in beside its Argon2, and what a storm of log-ins
//! does to the readings that come in meanwhile. Each floor is measured in the same run, in turns with what stands on it.

mod log_ins;
mod memories;
mod storm;
mod verify;

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Map, Value, json};

use super::report::environment;
use super::{Check, Mesh, Report, Spread};
use crate::cli::AuthBench;
use crate::progress;

/// Of what RSA alone allows, a verification must reach this part.
const OF_RSA: f64 = 0.8;
/// A token that was verified before costs at most this part of its first verification.
const OF_UNSEEN: f64 = 0.1;
/// Of what Argon2 alone allows, log-ins over REST must reach this part.
const OF_ARGON2: f64 = 0.8;
/// While log-ins storm in, a reading is acknowledged within this time at the 99th percentile, or within twice what it takes
/// without them.
const STORM_MS: f64 = 50.0;
/// So far apart known and unknown addresses may be in the median, milliseconds: below what can be told over a network (~).
const APART_MS: f64 = 0.2;

/// A mesh whose every part is measured in so many rounds.
pub(super) async fn run(args: AuthBench) -> anyhow::Result<Report> {
    ensure!(args.rounds > 0, "there must be a round");
    let bar = progress::steps(u64::from(args.rounds) * 4)?;
    let mut verifications = Vec::new();
    let tokens = verify::Tokens::make()?;
    for _ in 0..args.rounds {
        verifications.push(tokens.round().await?);
        bar.inc(1);
    }
    let mesh = Mesh::start_with(&storm::SETTINGS).await?;
    let outcome = measure(&mesh, args, verifications, &bar).await;
    bar.finish_and_clear();
    mesh.stop().await?;
    outcome
}

async fn measure(
    mesh: &Mesh,
    args: AuthBench,
    verifications: Vec<verify::Round>,
    bar: &indicatif::ProgressBar,
) -> anyhow::Result<Report> {
    let base = mesh.gateway();
    let span = Duration::from_secs(u64::from(args.seconds));
    let accounts = log_ins::Accounts::open(&base, usize::try_from(args.rounds)?).await?;
    let (mut log_ins, mut storms, mut timings) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..args.rounds {
        log_ins.push(log_ins::round(&accounts, &mesh.tasks, span).await?);
        bar.inc(1);
        timings.push(log_ins::timing(&accounts, round).await?);
        bar.inc(1);
    }
    let mut scene = storm::Scene::set(&base).await?;
    for _ in 0..args.rounds {
        storms.push(scene.round(&accounts, span, args.rate).await?);
        bar.inc(1);
    }
    report(mesh, args, &verifications, &log_ins, &storms, &timings).await
}

async fn report(
    mesh: &Mesh,
    args: AuthBench,
    verifications: &[verify::Round],
    log_ins: &[log_ins::Round],
    storms: &[storm::Round],
    timings: &[log_ins::Timing],
) -> anyhow::Result<Report> {
    let mut details = Map::new();
    let mut tell = |name: &str, figures: &mut dyn Iterator<Item = f64>| -> f64 {
        let spread = Spread::of(figures);
        details.insert(name.to_owned(), json!(spread.map(shown)));
        spread.map_or(0.0, |spread| spread.median)
    };
    tell("verifications of new tokens, 1/s per core", &mut verifications.iter().map(|round| round.fresh));
    tell(
        "verifications of tokens seen before, 1/s per core",
        &mut verifications.iter().map(|round| round.cached),
    );
    tell("floor: aws-lc's RSA verify, 1/s per core", &mut verifications.iter().map(|round| round.floor));
    let of_rsa =
        tell("verification over its floor", &mut verifications.iter().map(|round| round.fresh / round.floor));
    let of_unseen = tell(
        "cost of a token seen before over a new one's",
        &mut verifications.iter().map(|round| round.fresh / round.cached),
    );
    tell("log-ins over REST, 1/s", &mut log_ins.iter().map(|round| round.log_ins));
    tell("floor: Argon2id in as many threads, 1/s", &mut log_ins.iter().map(|round| round.floor));
    let of_argon2 =
        tell("log-ins over their floor", &mut log_ins.iter().map(|round| round.log_ins / round.floor));
    tell("log-in with a known address, wrong passphrase, ms", &mut timings.iter().map(|round| round.known));
    tell("log-in with an unknown address, ms", &mut timings.iter().map(|round| round.unknown));
    let apart = timings.iter().flat_map(|round| round.apart.iter().copied()).collect();
    let (median, low, high) = log_ins::median_within(apart).unwrap_or((f64::NAN, f64::NAN, f64::NAN));
    // No difference within what is seen of it, or one too small to be seen over a network in as many tries.
    let apart = if low <= 0.0 && high >= 0.0 { 0.0 } else { median.abs() };
    tell("log-ins that arrived in the storm, 1/s", &mut storms.iter().map(|round| round.arrived));
    tell("of these let in, 1/s", &mut storms.iter().map(|round| round.let_in));
    tell("of these sent away, 1/s", &mut storms.iter().map(|round| round.sent_away));
    tell("readings acknowledged in the storm, 1/s", &mut storms.iter().map(|round| round.readings));
    let calm = tell(
        "reading sent to acknowledged, p99 without the storm, ms",
        &mut storms.iter().map(|round| round.calm),
    );
    let stormy = tell(
        "reading sent to acknowledged, p99 in the storm, ms",
        &mut storms.iter().map(|round| round.stormy),
    );
    memories::tell(&petty_chassis::telemetry::gathered(), &mut details);
    let told = json!({"median": median, "least": low, "most": high});
    details.insert("known less unknown, of pairs, ms (95 %)".to_owned(), told);
    details.insert("rounds".to_owned(), json!(args.rounds));
    details.insert("seconds of each measurement".to_owned(), json!(args.seconds));
    Ok(Report {
        name: "auth",
        environment: environment(&mesh.stack).await?,
        checks: vec![
            Check::at_least("verification over aws-lc's RSA verify", of_rsa, "x", OF_RSA),
            Check::at_most("token seen before over a new one", of_unseen, "x", OF_UNSEEN),
            Check::at_least("log-ins over Argon2's own rate", of_argon2, "x", OF_ARGON2),
            Check::at_most("reading acknowledged in the storm, p99", stormy, "ms", STORM_MS.max(2.0 * calm)),
            Check::at_most(
                "known less unknown address, median of pairs, beyond chance",
                apart,
                "ms",
                APART_MS,
            ),
        ],
        details,
    })
}

fn shown(Spread { median, least, most }: Spread) -> Value {
    json!({"median": median, "least": least, "most": most})
}

/// How often a second something was done.
#[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
fn rate(count: usize, since: Instant) -> f64 {
    count as f64 / since.elapsed().as_secs_f64()
}
