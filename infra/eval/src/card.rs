//! docs/model-card.md, as text.
//!
//! Invariant: every figure in it comes from the outcome; nothing is written by hand, so nothing can drift.

use std::fmt::Write as _;

use petty_behavior::domain::Behavior;
use petty_scenarios::{Injection, Label};

use crate::outings::{Outing, Outings};
use crate::score::{BEHAVIORS, BINS, NOTHING, index};
use crate::spread::{Figure, rate_bound};
use crate::{Goal, INTERVALS_S, Outcome, Results};

/// The model card of an outcome, Markdown.
#[must_use]
pub fn card(outcome: &Outcome) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _written = write(&mut text, outcome);
    text
}

fn write(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let options = outcome.options;
    let judged = outcome.judged();
    let name = judged.map_or_else(String::new, |judged| judged.classifier.name());
    writeln!(
        out,
        "# Model card: what behaviours are told from\n\n\
         Written by `cargo petty eval behavior`; do not edit. Judged here: `{name}`. Petty informs; it does not diagnose.\n\n\
         **Data.** {} made-up pets (three of five are dogs) over {} days each, seed {}, heart rate missing {:.0} % of the time, breaths counted in half of the readings of a still pet with good contact, collars \
         at 5, 10, 15, 30 or 60 s; see `infra/scenarios` for every parameter and its source. It was written before the interpreter and is \
         not changed for its sake. Being made up, it can show that rules are wrong, not that they are right on every animal. The order in which \
         its doings follow each other is made up too, and the rules know it (ADR 39).\n\n\
         **Scoring.** By time: each second counts once, where two readings at most three intervals (or 60 s) apart cover it. In \
         brackets: 95 % of 1,000 draws of animals, never of readings. The first system's rules run on the same readings, asked for 10 \
         minutes, an hour and a day at a time; for each behaviour the best of the three stands. Deep Sleep is a bout of sleep with its \
         dreams and turns; Resting is lying awake. Confidence is held against the truth for all that was claimed.\n",
        options.pets,
        options.days,
        options.seed,
        options.missing * 100.0
    )?;
    goals(out, &outcome.goals)?;
    side_by_side(out, outcome)?;
    if let Some(judged) = judged {
        by_interval(out, judged)?;
        confusion(out, judged)?;
        reliability(out, judged)?;
    }
    recorded(out, outcome)?;
    alarms(out, outcome)?;
    writeln!(
        out,
        "\n## Not measured\n\nAlerts that need weeks (heart rate's trend), batteries and temperatures, which the made-up collars do not \
         report, and lying about and restless nights, which the service reckons from its tables. Eating and drinking, and being alert, \
         are in the data as things to be mistaken for others; no rule claims them, since heart rate, breaths, level and position do not tell \
         them. No public recording holds heart rate, activity and position of one animal."
    )
}

fn alarms(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let alarms = &outcome.alarms;
    let (rate, bound) = alarms.rate();
    let kinds: Vec<String> =
        alarms.false_alarms.iter().map(|(kind, count)| format!("{} {count}", kind.slug())).collect();
    writeln!(
        out,
        "\n## Alerts\n\nThe service's watch and machine over the same pets, a safe zone of 60 m about each home. False alarms of healthy pets: {rate:.2} per \
         pet-month (upper 95 %: {bound:.2}) over {:.1} pet-months: {}. A walk is a true exit. {} of {} animals had any, none more than {}.\n\n\
         | readings every | pet-months | false alarms | per pet-month (upper 95 %) |\n|---|---|---|---|",
        alarms.pet_months,
        if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") },
        alarms.by_animal.len(),
        outcome.options.pets,
        alarms.by_animal.values().max().copied().unwrap_or_default(),
    )?;
    for (interval_s, (count, months)) in &alarms.by_interval {
        let (rate, bound) = (f64::from(*count) / months, rate_bound(*count, *months));
        writeln!(out, "| {interval_s} s | {months:.1} | {count} | {rate:.2} ({bound:.2}) |")?;
    }
    writeln!(
        out,
        "\nFound is what is raised before half an hour after its end. An effect counts where the collar was on the pet and reported for half of it.\n\n\
         | effect, put into each pet once | found in | collar off or silent | median delay, min |\n|---|---|---|---|"
    )?;
    for found in &alarms.found {
        let what = match found.injection {
            Injection::HeartRate => "resting heart rate +60 % for 6 h",
            Injection::Breathing => "40 breaths a minute for 2 h asleep",
            Injection::Exit => "an exit of 150 m",
        };
        let delay = found.median().map_or_else(|| "never".to_owned(), |minutes| format!("{minutes:.1}"));
        writeln!(out, "| {what} | {} of {} | {} | {delay} |", found.delays.len(), found.pets, found.unseen)?;
    }
    outings(out, &outcome.outings)
}

/// Fixes outside in a row from which on an exit was one by the cat's own account.
const OUT_FOR: usize = 3;

fn outings(out: &mut String, outings: &Outings) -> std::fmt::Result {
    if outings.dogs.0 + outings.cats.0 == 0 {
        return Ok(());
    }
    let (out_for, brief): (Vec<&Outing>, Vec<&Outing>) =
        outings.outings.iter().partition(|outing| outing.fixes >= OUT_FOR);
    let mut furthest: Vec<f64> = out_for.iter().map(|outing| outing.furthest_m).collect();
    furthest.sort_unstable_by(f64::total_cmp);
    let quantile = |permille: usize| {
        furthest
            .get((furthest.len() * permille / 1_000).min(furthest.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    };
    writeln!(
        out,
        "\n### Real animals\n\nDogs: {} over {:.1} h at rest: {} alerts. Cats: {} over {:.0} h, a zone of 60 m about the middle of each one's \
         fixes, which state no error: {} exits, {} alerts of other kinds. {} of the exits are so by the cat's own fixes: it stayed out for three fixes or more, \
         {:.0} m away (median of the furthest; one in ten beyond {:.0} m). The others:",
        outings.dogs.0,
        outings.dogs.1,
        outings.dogs_alerts,
        outings.cats.0,
        outings.cats.1,
        outings.outings.len(),
        outings.others,
        out_for.len(),
        quantile(500),
        quantile(900),
    )?;
    if brief.is_empty() {
        return writeln!(out, "none.");
    }
    writeln!(out, "\n| cat | fixes outside | minutes | furthest, m |\n|---|---|---|---|")?;
    for outing in brief {
        let Outing { animal, fixes, minutes, furthest_m } = outing;
        writeln!(out, "| {animal} | {fixes} | {minutes:.1} | {furthest_m:.0} |")?;
    }
    Ok(())
}

fn goals(out: &mut String, goals: &[Goal]) -> std::fmt::Result {
    writeln!(out, "## Goals\n\n| goal | figure | bound | |\n|---|---|---|---|")?;
    for goal in goals {
        let figure =
            if goal.value.is_nan() { "not measured".to_owned() } else { format!("{:.3}", goal.value) };
        let (bound, met) = (
            if goal.at_least { "at least" } else { "at most" },
            if goal.met() { "met" } else { "**missed**" },
        );
        writeln!(out, "| {} | {figure} | {bound} {:.3} | {met} |", goal.name, goal.bound)?;
    }
    Ok(())
}

fn side_by_side(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    writeln!(
        out,
        "\n## Side by side\n\n| behaviour | rules | precision | recall | F1 |\n|---|---|---|---|---|"
    )?;
    let dense = |interval_s: u32| interval_s <= 15;
    let any = |_: u32| true;
    for behavior in Behavior::ALL.into_iter().filter(|behavior| behavior.is_known()) {
        let fetch = behavior == Behavior::PlayingFetch;
        let intervals: fn(u32) -> bool = if fetch { dense } else { any };
        let first = outcome.first(behavior, intervals).filter(|(_, measure)| measure.f1.at > 0.0);
        let first = first.map(|(results, measure)| (results.classifier.name(), measure));
        let ours = outcome.results.iter().filter(|results| !results.classifier.is_first());
        let ours = ours.map(|results| (results.classifier.name(), results.measure(behavior, intervals)));
        for (rules, measure) in first.into_iter().chain(ours) {
            let [precision, recall, f1] = [measure.precision, measure.recall, measure.f1].map(figure);
            let limit = if fetch { " (to 15 s)" } else { "" };
            writeln!(out, "| {}{limit} | {rules} | {precision} | {recall} | {f1} |", behavior.name())?;
        }
    }
    Ok(())
}

fn by_interval(out: &mut String, judged: &Results) -> std::fmt::Result {
    writeln!(
        out,
        "\n## By sampling interval, F1\n\n| behaviour | 5 s | 10 s | 15 s | 30 s | 60 s |\n|---|---|---|---|---|---|"
    )?;
    for behavior in Behavior::ALL.into_iter().filter(|behavior| behavior.is_known()) {
        write!(out, "| {} |", behavior.name())?;
        for interval_s in INTERVALS_S {
            write!(out, " {} |", figure(judged.measure(behavior, |other| other == interval_s).f1))?;
        }
        writeln!(out)?;
    }
    let animals = INTERVALS_S.map(|interval_s| judged.tallies(|other| other == interval_s).len().to_string());
    writeln!(out, "| animals | {} |", animals.join(" | "))
}

fn confusion(out: &mut String, judged: &Results) -> std::fmt::Result {
    let total = judged.total();
    write!(out, "\n## Confusion, percent of each true behaviour's time\n\n| true | hours |")?;
    for behavior in Behavior::ALL {
        write!(out, " {} |", behavior.name())?;
    }
    writeln!(out, "\n|---|{}", "---|".repeat(BEHAVIORS + 1))?;
    for (label, row) in Label::ALL.iter().zip(&total.confusion) {
        let all: f64 = row.iter().sum();
        write!(out, "| {} | {:.1} |", label.name(), all / 3_600.0)?;
        for behavior in Behavior::ALL {
            let column = if behavior.is_known() { index(behavior) } else { NOTHING };
            write!(out, " {:.1} |", if all > 0.0 { row[column] / all * 100.0 } else { 0.0 })?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn reliability(out: &mut String, judged: &Results) -> std::fmt::Result {
    let total = judged.total();
    let brier = total.brier().unwrap_or_default();
    writeln!(
        out,
        "\n## Confidence\n\nBrier score {brier:.3} over all that was claimed.\n\n| stated | hours | mean stated | found right |\n|---|---|---|---|"
    )?;
    for (nth, (seconds, stated, right)) in total.bins.iter().enumerate().filter(|(_, bin)| bin.0 > 0.0) {
        let (low, high) = (nth as f64 / BINS as f64, (nth + 1) as f64 / BINS as f64);
        let hours = seconds / 3_600.0;
        writeln!(
            out,
            "| {low:.1} to {high:.1} | {hours:.1} | {:.3} | {:.3} |",
            stated / seconds,
            right / seconds
        )?;
    }
    Ok(())
}

fn recorded(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    writeln!(out, "\n## Real animals\n")?;
    if outcome.findings.is_empty() {
        return writeln!(out, "The recordings were not there when this was written.");
    }
    writeln!(
        out,
        "Dogs: heart rates of 30 dogs at rest at home (Jarkoff 2023). Cats: fixes of 76 cats (McDonald & Cole 2020). Neither has truth \
         labels; a fault is what the recording's circumstances rule out.\n\n\
         | animals | rules | readings | hours by behaviour | fault |\n|---|---|---|---|---|"
    )?;
    for finding in &outcome.findings {
        let shares: Vec<String> = Behavior::ALL
            .into_iter()
            .map(|behavior| (behavior, finding.minutes[index(behavior)] / 60.0))
            .filter(|(_, hours)| *hours > 0.0)
            .map(|(behavior, hours)| format!("{} {hours:.1}", behavior.name()))
            .collect();
        writeln!(
            out,
            "| {} {} | {} | {} | {} | {:.1} {} |",
            finding.animals,
            finding.what,
            finding.classifier.name(),
            finding.readings,
            shares.join(", "),
            finding.fault_minutes,
            finding.fault
        )?;
    }
    Ok(())
}

fn figure(figure: Figure) -> String {
    format!("{:.3} ({:.3} to {:.3})", figure.at, figure.low, figure.high)
}
