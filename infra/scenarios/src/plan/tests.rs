use std::collections::BTreeMap;

use super::*;
use crate::doing::Label;

fn plans(species: Species, days: u32) -> Vec<(Pet, Plan)> {
    let pets = (0..60).map(|number| Pet::of(5, number)).filter(|pet| pet.species == species);
    pets.map(|pet| (pet.clone(), Plan::of(&pet, 5, days, &[]))).collect()
}

fn hours_a_day(plan: &Plan, days: u32) -> BTreeMap<Label, f64> {
    let mut hours = BTreeMap::new();
    for stretch in &plan.stretches {
        *hours.entry(stretch.doing.label()).or_default() +=
            (stretch.end_s - stretch.start_s) as f64 / 3_600.0 / f64::from(days);
    }
    hours
}

#[test]
fn days_have_neither_gaps_nor_overlaps() {
    for injections in [&[][..], &[Injection::HeartRate, Injection::Breathing, Injection::Exit]] {
        for number in 0..40 {
            let pet = Pet::of(2, number);
            let plan = Plan::of(&pet, 2, 12, injections);
            assert_eq!(plan.stretches.first().unwrap().start_s, EPOCH_S);
            assert_eq!(plan.stretches.last().unwrap().end_s, EPOCH_S + 12 * DAY_S);
            for pair in plan.stretches.windows(2) {
                assert!(pair[0].end_s == pair[1].start_s && pair[0].start_s < pair[0].end_s, "{pair:?}");
            }
            assert_eq!(plan.events.len(), injections.len());
            assert_eq!(plan, Plan::of(&pet, 2, 12, injections));
        }
    }
}

#[test]
fn grown_pets_sleep_as_long_as_the_field_says() {
    for (species, range) in [(Species::Dog, 11.5..14.5), (Species::Cat, 12.0..16.5)] {
        let hours: Vec<f64> = plans(species, 14)
            .iter()
            .filter(|(pet, _)| (1.0..10.0).contains(&pet.age_years))
            .map(|(_, plan)| hours_a_day(plan, 14)[&Label::DeepSleep])
            .collect();
        let mean = hours.iter().sum::<f64>() / hours.len() as f64;
        assert!(range.contains(&mean), "{species:?} sleep {mean} h");
    }
}

#[test]
fn the_anxious_pace_and_the_others_hardly_do_and_dogs_fetch() {
    let mut minutes: BTreeMap<bool, (f64, f64)> = BTreeMap::new();
    let mut fetch = 0.0;
    for (pet, plan) in plans(Species::Dog, 14) {
        let hours = hours_a_day(&plan, 14);
        let entry = minutes.entry(pet.anxious).or_default();
        entry.0 += hours.get(&Label::AnxiousPacing).copied().unwrap_or_default() * 60.0;
        entry.1 += 1.0;
        fetch += hours.get(&Label::PlayingFetch).copied().unwrap_or_default() * 60.0;
    }
    let of = |anxious| minutes[&anxious].0 / minutes[&anxious].1;
    assert!(of(true) > 8.0 && of(false) < 3.0 && of(true) > 5.0 * of(false), "{minutes:?}");
    assert!(fetch > 60.0, "{fetch}");
}

#[test]
fn what_is_injected_is_there_for_as_long_as_it_says() {
    let pet = Pet::of(2, 0);
    let plan = Plan::of(&pet, 2, 12, &[Injection::HeartRate, Injection::Breathing, Injection::Exit]);
    for (event, hours) in plan.events.iter().zip([6.0, 2.0, 1.0 / 3.0]) {
        assert!(((event.end_s - event.start_s) as f64 / 3_600.0 - hours).abs() < 1e-9);
        assert!(event.start_s >= EPOCH_S + 8 * DAY_S && event.end_s <= EPOCH_S + 12 * DAY_S);
        let within = |stretch: &&Stretch| stretch.start_s < event.end_s && stretch.end_s > event.start_s;
        let doings: Vec<Doing> = plan.stretches.iter().filter(within).map(|stretch| stretch.doing).collect();
        match event.injection {
            Injection::HeartRate => assert!(doings.contains(&Doing::Lying)),
            Injection::Breathing => assert_eq!(doings, [Doing::Asleep]),
            Injection::Exit => assert_eq!(doings, [Doing::Walking]),
        }
    }
}
