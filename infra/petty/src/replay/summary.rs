//! What a replay says of itself, before and after.

use std::{collections::BTreeMap, fmt::Write};

use super::{LeftOut, Species, plan::Plan, send::Outcome};

/// What will be sent, and what of the file will not.
pub(super) fn of_plan(plan: &Plan, gateway: &str, speed: Option<f64>) -> String {
    let mut left_out = LeftOut::new();
    let mut species = BTreeMap::new();
    for planned in &plan.animals {
        let name = match planned.animal.species {
            Species::Dog => {
                "dog(s), heart rate only (the recordings have nothing else; a dog's are laid an hour apart)"
            }
            Species::Cat => "cat(s), positions only (the recordings have nothing else)",
        };
        *species.entry(name).or_insert(0) += 1;
        for (why, count) in &planned.animal.left_out {
            *left_out.entry(why).or_default() += count;
        }
    }
    let mut text = String::new();
    for (name, count) in species {
        line(&mut text, format_args!("{count} {name}"));
    }
    let pace = match speed {
        Some(speed) => format!("at {speed} times real time"),
        None => "as fast as they are acknowledged".to_owned(),
    };
    line(
        &mut text,
        format_args!("{} readings to {gateway}, {pace}; each animal's last one ends now", plan.readings()),
    );
    for (why, count) in left_out {
        line(&mut text, format_args!("  left out: {count} {why}"));
    }
    text.trim_end().to_owned()
}

/// What became of it.
pub(super) fn of_outcome(outcome: &Outcome, email: &str) -> String {
    let mut text = String::new();
    let mut rejected: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut readings, mut accepted, mut duplicates) = (0, 0, 0);
    for animal in &outcome.animals {
        line(
            &mut text,
            format_args!(
                "  {:<16} pet {}  collar {}  {} of {} readings acknowledged",
                animal.name,
                animal.pet_id,
                animal.collar_id,
                animal.acknowledged(),
                animal.readings
            ),
        );
        if let Some(why) = &animal.gave_up {
            line(&mut text, format_args!("    gave up: {why}"));
        }
        readings += animal.readings;
        accepted += animal.accepted;
        duplicates += animal.duplicates;
        for (why, count) in &animal.rejected {
            *rejected.entry(why).or_default() += count;
        }
    }
    line(
        &mut text,
        format_args!(
            "{} animals of {email}: {readings} readings, {accepted} accepted, {duplicates} there already, {} refused",
            outcome.animals.len(),
            rejected.values().sum::<usize>()
        ),
    );
    for (why, count) in rejected {
        line(&mut text, format_args!("  refused: {count} × {why}"));
    }
    text.push_str(if outcome.is_complete() {
        "Every reading is acknowledged."
    } else {
        "Not every reading is acknowledged: see above."
    });
    text
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _infallible = writeln!(text, "{words}");
}
