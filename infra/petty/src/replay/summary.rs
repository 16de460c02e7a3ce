//! What a replay says of itself beforehand.

use std::collections::BTreeMap;

use super::{LeftOut, Species, plan::Plan};
use crate::client::wearer::line;

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
