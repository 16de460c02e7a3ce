//! Cats.

use petty_nutrition::domain::ActivityLevel::{Active, Inactive, Typical, WeightLoss, Working};
use petty_nutrition::domain::LifeStage::{Adult, Gestation, Growth, Lactation, Senior};

use super::Page::{Kcal, Kitten, NursingQueen, Rer, RerOfIdeal};
use super::Row;
use super::pets::cat;

pub(crate) fn rows() -> Vec<Row> {
    [adults(), conditions(), activities(), growing(), bearing()].concat()
}

fn adults() -> Vec<Row> {
    vec![
        ("neutered, 3 kg", cat(3.0).months(36).neutered(), Adult, Rer(1.3)),
        ("neutered, 4 kg", cat(4.0).months(36).neutered(), Adult, Kcal(257.4)),
        ("neutered, 6.5 kg", cat(6.5).months(36).neutered(), Adult, Rer(1.3)),
        ("intact, 3.5 kg", cat(3.5).months(36).intact(), Adult, Rer(1.5)),
        ("intact, 5 kg", cat(5.0).months(36).intact(), Adult, Kcal(351.1)),
        ("neutered or not: where the ranges meet", cat(4.0).months(36), Adult, Rer(1.4)),
        ("of unknown age", cat(4.0).neutered(), Adult, Rer(1.3)),
        ("12 months to the day", cat(4.0).months(12).neutered(), Adult, Rer(1.3)),
        ("not yet 10 years", cat(4.0).months(119).neutered(), Adult, Rer(1.3)),
        ("10 years", cat(4.0).months(120).neutered(), Senior, Rer(1.3)),
        ("15 years, intact", cat(3.2).months(180).intact(), Senior, Rer(1.5)),
    ]
}

fn conditions() -> Vec<Row> {
    let at = |score| cat(5.0).months(48).neutered().bcs(score);
    vec![
        ("body condition 1", at(1), Adult, Rer(1.3)),
        ("body condition 2", at(2), Adult, Rer(1.3)),
        ("body condition 3", at(3), Adult, Rer(1.3)),
        ("body condition 4", at(4), Adult, Rer(1.3)),
        ("body condition 5", at(5), Adult, Rer(1.3)),
        ("body condition 6", at(6), Adult, RerOfIdeal(0.8)),
        ("body condition 7", at(7), Adult, RerOfIdeal(0.8)),
        // 5 / 1.3 = 3.846 kg.
        ("body condition 8", at(8), Adult, Kcal(153.8)),
        ("body condition 9", at(9), Adult, RerOfIdeal(0.8)),
        ("senior, overweight", cat(7.0).months(140).neutered().bcs(9), Senior, RerOfIdeal(0.8)),
    ]
}

fn activities() -> Vec<Row> {
    let mine = || cat(4.5).months(48).neutered();
    vec![
        ("to lose weight, above ideal", mine().bcs(8).level(WeightLoss), Adult, RerOfIdeal(0.8)),
        ("to lose weight, at ideal: no such plan", mine().bcs(4).level(WeightLoss), Adult, Rer(1.3)),
        // The page's own check.
        ("inactive", mine().level(Inactive), Adult, Kcal(216.3)),
        ("typical", mine().level(Typical), Adult, Rer(1.2)),
        ("active", mine().level(Active), Adult, Kcal(302.8)),
        ("working is for dogs: as if nothing was said", mine().level(Working), Adult, Rer(1.3)),
        ("the most active of its kind", mine().active(&[90.0; 30]).peers(25), Adult, Rer(1.4)),
        ("more active than 5 of 25", mine().active(&[5.5; 30]).peers(25), Adult, Rer(1.24)),
        (
            "intact, the least active of its kind",
            cat(4.5).months(48).intact().active(&[0.0; 9]).peers(25),
            Adult,
            Rer(1.4),
        ),
        ("gains at ideal", mine().bcs(5).weighed(&[4.2, 4.3, 4.4, 4.5]), Adult, Rer(1.2)),
    ]
}

fn growing() -> Vec<Row> {
    vec![
        ("2 months, 0.8 of 4 kg", cat(0.8).months(2).adult_kg(4.0), Growth, Kcal(174.8)),
        ("4 months, 1.6 of 4 kg", cat(1.6).months(4).adult_kg(4.0), Growth, Kitten(4.0)),
        ("7 months, 3 of 5 kg", cat(3.0).months(7).adult_kg(5.0), Growth, Kitten(5.0)),
        ("11 months, grown", cat(4.0).months(11).adult_kg(4.0), Growth, Kcal(284.6)),
        ("5 months, adult unknown", cat(2.0).months(5), Growth, Kcal(294.3)),
        ("5 months, overweight, no diet", cat(2.0).months(5).bcs(9).level(WeightLoss), Growth, Rer(2.5)),
        ("grows, says the owner", cat(2.0).stage(Growth), Growth, Rer(2.5)),
    ]
}

fn bearing() -> Vec<Row> {
    let mine = |litter, days| cat(4.0).months(30).intact().litter(litter).littered(days);
    vec![
        ("carries, day 5", cat(4.0).months(30).intact().mated(5), Gestation, Rer(1.8)),
        ("carries, day 60", cat(4.0).months(30).intact().mated(60), Gestation, Kcal(356.4)),
        (
            "carries, active or not",
            cat(4.0).months(30).mated(30).active(&[90.0; 30]).peers(25),
            Gestation,
            Rer(1.8),
        ),
        ("carries, no diet", cat(5.0).months(30).mated(30).bcs(8), Gestation, Rer(1.8)),
        ("carries, day unknown", cat(4.0).stage(Gestation), Gestation, Rer(1.8)),
        ("1 kitten, week 1", mine(1, 6), Lactation, NursingQueen(18.0, 0.9)),
        ("2 kittens, week 2", mine(2, 7), Lactation, NursingQueen(18.0, 0.9)),
        ("3 kittens, week 3", mine(3, 14), Lactation, Kcal(541.2)),
        ("4 kittens, week 4", mine(4, 21), Lactation, NursingQueen(60.0, 1.2)),
        ("5 kittens, week 5", mine(5, 28), Lactation, NursingQueen(70.0, 1.1)),
        ("6 kittens, week 6", mine(6, 35), Lactation, NursingQueen(70.0, 1.0)),
        ("9 kittens, week 7", mine(9, 48), Lactation, NursingQueen(70.0, 0.8)),
        ("week 8: weaned", mine(5, 49), Adult, Rer(1.5)),
        ("litter's size unknown", cat(4.0).months(30).littered(10), Lactation, Rer(4.0)),
        ("nurses, no diet", mine(5, 28).bcs(9), Lactation, NursingQueen(70.0, 1.1)),
    ]
}
