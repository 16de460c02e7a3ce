//! docs/model-card.md, as text.
//!
//! Invariant: every figure in it comes from the outcome; nothing is written by hand, so nothing can drift.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use petty_behavior::domain::Behavior;
use petty_behavior::domain::alerts::Kind;
use petty_behavior::domain::history::median;
use petty_scenarios::{Injection, Label};

use crate::alarms::{ALL_DAYS, BUFFER_M, RADIUS_M, Rate, UNMEASURED, WATCHED_DAYS, name};
use crate::outings::{Outing, Outings, Reason, STAYED};
use crate::score::{BEHAVIORS, BINS, NOTHING, index};
use crate::spread::Figure;
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
        "\n## Not measured\n\nAlerts of batteries and temperatures, which the made-up collars do not report; whether the heart rate's trend, inactivity and \
         restless nights are found where they are so, since no such effect is put into a pet: only that they are not raised for nothing. Eating and drinking, and being alert, \
         are in the data as things to be mistaken for others; no rule claims them, since heart rate, breaths, level and position do not tell \
         them. No public recording holds heart rate, activity and position of one animal."
    )
}

fn alarms(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let alarms = &outcome.alarms;
    let (rate, bound) = alarms.all.wrong_a_month();
    let (late, late_bound) = alarms.late.wrong_a_month();
    let unmeasured = UNMEASURED.map(name).join(" and ");
    writeln!(
        out,
        "\n## Alerts\n\nAll that the service raises alerts by, over {} healthy pets for {WATCHED_DAYS} days each, a safe zone of 60 m about each home: readings \
         as they arrive; looks for silent collars and lying pets when its tables say that they are due; days as they close. A false alarm is what is raised of a healthy pet \
         and is not so: a walk is a true exit, and a collar that was out of reach or on its charger was silent. {rate:.2} false alarms per pet-month (upper 95 %: {bound:.2}) over \
         {:.1} pet-months; from the {}st day on, when every kind can be raised, {late:.2} ({late_bound:.2}) over {:.1}. The goal's figure is the greater bound. {} of {} animals had any, none more than {}.\n\n\
         | alert | pet-months in which it could be raised | raised | per pet-month | of these false | false per pet-month (upper 95 %) |\n|---|---|---|---|---|---|",
        outcome.options.pets,
        alarms.all.months,
        ALL_DAYS + 1,
        alarms.late.months,
        alarms.by_animal.len(),
        outcome.options.pets,
        alarms.by_animal.values().max().copied().unwrap_or_default(),
    )?;
    for kind in Kind::ALL {
        match alarms.by_kind.get(&kind) {
            Some(rate) => {
                let (false_a_month, bound) = rate.wrong_a_month();
                writeln!(
                    out,
                    "| {} | {:.1} | {} | {:.1} | {} | {false_a_month:.2} ({bound:.2}) |",
                    name(kind),
                    rate.months,
                    rate.raised,
                    f64::from(rate.raised) / rate.months,
                    rate.wrong
                )?;
            }
            None => writeln!(out, "| {} | not measured | | | | |", name(kind))?,
        }
    }
    writeln!(
        out,
        "\nCollars of made-up pets report neither batteries nor temperatures, so {unmeasured} cannot be raised and are not in the goal's figure. How often collars are out of reach or charge is a \
         guess of the generator's (1.2 times and a third of once a day), and each silence of ten minutes and more is told: owners who do not want that switch the kind off.\n\n\
         | readings every | pet-months | false alarms | per pet-month (upper 95 %) |\n|---|---|---|---|"
    )?;
    for (interval_s, rate) in &alarms.by_interval {
        let (a_month, bound) = rate.wrong_a_month();
        let Rate { months, wrong, .. } = rate;
        writeln!(out, "| {interval_s} s | {months:.1} | {wrong} | {a_month:.2} ({bound:.2}) |")?;
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

fn outings(out: &mut String, outings: &Outings) -> std::fmt::Result {
    if outings.dogs.0 + outings.cats.0 == 0 {
        return Ok(());
    }
    let of = |so: Option<bool>| outings.outings.iter().filter(|one| one.reason().is_so() == so).count();
    writeln!(
        out,
        "\n### Real animals\n\nDogs: {} over {:.1} h at rest: {} alerts. Cats: {} over {:.0} h, a zone of {RADIUS_M} m (and {BUFFER_M} m beyond) about the middle of each one's \
         fixes, which state no error: {} exits, {} alerts of other kinds. Each exit has the first of these reasons that its fixes bear out; `--json` has the figures of each. \
         {} were so by the cat's own fixes, {} false, and of {} its fixes cannot say. Paces are from fix to fix, the last one inside before and the first one after among them.\n\n\
         | reason | exits | cats | fixes outside | minutes outside | furthest, m | fastest, m/s |\n|---|---|---|---|---|---|---|",
        outings.dogs.0,
        outings.dogs.1,
        outings.dogs_alerts,
        outings.cats.0,
        outings.cats.1,
        outings.outings.len(),
        outings.others,
        of(Some(true)),
        of(Some(false)),
        of(None),
    )?;
    for reason in Reason::ALL {
        let these: Vec<&Outing> = outings.outings.iter().filter(|one| one.reason() == reason).collect();
        let cats: BTreeSet<usize> = these.iter().map(|one| one.animal).collect();
        let range = |of: fn(&Outing) -> f64, digits: usize| {
            let mut figures: Vec<f64> = these.iter().map(|one| of(one)).collect();
            figures.sort_unstable_by(f64::total_cmp);
            match (figures.first(), median(&figures), figures.last()) {
                (Some(least), Some(middle), Some(most)) => {
                    format!("{least:.digits$} to {most:.digits$}, median {middle:.digits$}")
                }
                _ => String::new(),
            }
        };
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} |",
            reason.words(),
            these.len(),
            cats.len(),
            range(|one| one.fixes as f64, 0),
            range(|one| one.minutes, 0),
            range(|one| one.furthest_m, 0),
            range(|one| one.fastest_mps, 1),
        )?;
    }
    writeln!(
        out,
        "\nThose of two fixes, each. Outside for at least the time from the first to the second fix, and at most for that from the last fix inside to the first one inside again.\n\n\
         | cat | minutes outside | furthest, m | fastest, m/s | reason |\n|---|---|---|---|---|"
    )?;
    for outing in outings.outings.iter().filter(|outing| outing.fixes < STAYED) {
        let Outing { animal, minutes, at_most_minutes, furthest_m, fastest_mps, .. } = outing;
        let at_most =
            at_most_minutes.map_or_else(|| "the recording's end".to_owned(), |most| format!("{most:.0}"));
        let reason = outing.reason().words();
        let reason = reason.split_once(':').map_or(&*reason, |(short, _)| short);
        writeln!(
            out,
            "| {animal} | {minutes:.1} to {at_most} | {furthest_m:.0} | {fastest_mps:.2} | {reason} |"
        )?;
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
