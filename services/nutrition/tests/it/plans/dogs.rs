//! Dogs.

use petty_nutrition::domain::ActivityLevel::{Active, Inactive, Typical, WeightLoss, Working};
use petty_nutrition::domain::LifeStage::{Adult, Gestation, Growth, Lactation, Senior};
use petty_nutrition::domain::Work::{Heavy, Light, Moderate};

use super::Page::{Bitch, Kcal, NursingBitch, Puppy, Rer, RerOfIdeal};
use super::Row;
use super::pets::dog;

pub(crate) fn rows() -> Vec<Row> {
    [adults(), conditions(), activities(), measured(), growing(), carrying(), nursing()].concat()
}

fn adults() -> Vec<Row> {
    vec![
        ("neutered, 2 kg", dog(2.0).months(36).neutered(), Adult, Rer(1.5)),
        ("neutered, 4.5 kg", dog(4.5).months(36).neutered(), Adult, Kcal(324.4)),
        ("neutered, 10 kg", dog(10.0).months(36).neutered(), Adult, Kcal(590.5)),
        ("neutered, 30 kg", dog(30.0).months(36).neutered(), Adult, Kcal(1_346.0)),
        ("neutered, giant", dog(70.0).months(36).neutered(), Adult, Rer(1.5)),
        ("intact, 3 kg", dog(3.0).months(36).intact(), Adult, Rer(1.7)),
        ("intact, 12 kg", dog(12.0).months(36).intact(), Adult, Kcal(767.2)),
        ("intact, 40 kg", dog(40.0).months(36).intact(), Adult, Kcal(1_892.7)),
        ("neutered or not: where the ranges meet", dog(8.0).months(36), Adult, Rer(1.6)),
        ("of unknown age", dog(20.0).neutered(), Adult, Rer(1.5)),
        ("12 months to the day", dog(20.0).months(12).neutered(), Adult, Rer(1.5)),
        // Expected lives 13.5, 12.7, 11.5 and 9.5 years: the last quarter is from 10.1, 9.5, 8.6 and 7.1.
        ("small, not yet senior", dog(5.0).months(121).neutered(), Adult, Rer(1.5)),
        ("small, senior", dog(5.0).months(122).neutered(), Senior, Rer(1.5)),
        ("medium, not yet senior", dog(20.0).months(114).intact(), Adult, Rer(1.7)),
        ("medium, senior", dog(20.0).months(115).intact(), Senior, Rer(1.7)),
        ("large, not yet senior", dog(30.0).months(103).neutered(), Adult, Rer(1.5)),
        ("large, senior", dog(30.0).months(104).neutered(), Senior, Rer(1.5)),
        ("giant, not yet senior", dog(60.0).months(85).neutered(), Adult, Rer(1.5)),
        ("giant, senior", dog(60.0).months(86).neutered(), Senior, Rer(1.5)),
        ("senior, says the owner", dog(20.0).months(30).neutered().stage(Senior), Senior, Rer(1.5)),
        (
            "obese, but large by its ideal weight",
            dog(56.0).months(90).bcs(9).neutered(),
            Adult,
            RerOfIdeal(1.0),
        ),
    ]
}

fn conditions() -> Vec<Row> {
    let at = |score| dog(20.0).months(48).neutered().bcs(score);
    vec![
        ("body condition 1", at(1), Adult, Rer(1.5)),
        ("body condition 2", at(2), Adult, Rer(1.5)),
        ("body condition 3", at(3), Adult, Rer(1.5)),
        ("body condition 4", at(4), Adult, Rer(1.5)),
        ("body condition 5", at(5), Adult, Rer(1.5)),
        ("body condition 6", at(6), Adult, RerOfIdeal(1.0)),
        // 20 / 1.2 = 16.67 kg.
        ("body condition 7", at(7), Adult, Kcal(577.4)),
        ("body condition 8", at(8), Adult, RerOfIdeal(1.0)),
        // 20 / 1.4 = 14.29 kg.
        ("body condition 9", at(9), Adult, Kcal(514.4)),
        ("intact, overweight", dog(40.0).months(48).intact().bcs(8), Adult, RerOfIdeal(1.0)),
        ("senior, overweight", dog(40.0).months(120).neutered().bcs(7), Senior, RerOfIdeal(1.0)),
        ("neutered or not, overweight", dog(40.0).months(48).bcs(9), Adult, RerOfIdeal(1.0)),
    ]
}

fn activities() -> Vec<Row> {
    let mine = || dog(20.0).months(48).neutered();
    vec![
        ("to lose weight, above ideal", mine().bcs(7).level(WeightLoss), Adult, RerOfIdeal(1.0)),
        ("to lose weight, at ideal: no such plan", mine().bcs(5).level(WeightLoss), Adult, Rer(1.5)),
        ("to lose weight, condition unknown: no such plan", mine().level(WeightLoss), Adult, Rer(1.5)),
        ("inactive", mine().level(Inactive), Adult, Rer(1.2)),
        ("typical", mine().level(Typical), Adult, Rer(1.6)),
        ("active", mine().level(Active), Adult, Kcal(1_324.0)),
        ("working", mine().level(Working), Adult, Rer(3.0)),
        ("typical as stated, overweight or not", mine().bcs(8).level(Typical), Adult, Rer(1.6)),
        ("stated wins over measured", mine().active(&[5.0; 30]).peers(30).level(Active), Adult, Rer(2.0)),
        ("intact, inactive", dog(9.0).months(48).intact().level(Inactive), Adult, Rer(1.2)),
        ("light work", mine().work(Light), Adult, Rer(1.8)),
        ("moderate work", mine().work(Moderate), Adult, Rer(3.5)),
        ("heavy work", mine().work(Heavy).level(Working), Adult, Rer(8.0)),
        ("work, overweight", mine().bcs(7).work(Light), Adult, Rer(1.8)),
        (
            "work is not held against pets that do not",
            mine().active(&[90.0; 30]).peers(50).work(Heavy),
            Adult,
            Rer(8.0),
        ),
    ]
}

fn measured() -> Vec<Row> {
    let mine = || dog(4.5).months(48).neutered();
    // 23 days of 20 min, then 7 of 30: half as active again.
    let more = [[20.0; 23].as_slice(), &[30.0; 7]].concat();
    let less = [[20.0; 23].as_slice(), &[15.0; 7]].concat();
    vec![
        ("six days are not enough", mine().active(&[500.0; 6]).peers(40), Adult, Rer(1.5)),
        ("seven are", mine().active(&[500.0; 7]).peers(40), Adult, Rer(1.6)),
        (
            "days of a collar that was off, or on its charger, do not count",
            mine().active_known(&[500.0; 30], 719.0).peers(40),
            Adult,
            Rer(1.5),
        ),
        // The page's own check.
        ("the least active of its kind", mine().active(&[0.5; 10]).peers(40), Adult, Kcal(302.8)),
        ("the most active of its kind", mine().active(&[90.0; 10]).peers(40), Adult, Rer(1.6)),
        ("more active than 30 of 40", mine().active(&[30.5; 10]).peers(40), Adult, Rer(1.4 + 0.2 * 0.75)),
        (
            "as active as the 10th of 20",
            mine().active(&[10.0; 10]).peers(20),
            Adult,
            Rer(1.4 + 0.2 * 9.5 / 20.0),
        ),
        ("19 of its kind are too few", mine().active(&[90.0; 10]).peers(19), Adult, Rer(1.5)),
        ("more than its own 30 days", mine().active(&more), Adult, Rer(1.4 + 0.2 * 0.75)),
        ("less than its own 30 days", mine().active(&less), Adult, Rer(1.4 + 0.2 * 0.375)),
        (
            "intact, more than 10 of 40",
            dog(30.0).months(48).intact().active(&[10.5; 30]).peers(40),
            Adult,
            Rer(1.65),
        ),
        (
            "neutered or not, activity does not count",
            dog(30.0).months(48).active(&[90.0; 30]).peers(40),
            Adult,
            Rer(1.6),
        ),
        // 0.2 kg a week on 19.7 kg is 1.0152 %: 0.5152 above standing still, of 1.5 for the whole range.
        (
            "gains at ideal",
            dog(20.0).months(48).neutered().bcs(5).weighed(&[19.4, 19.6, 19.8, 20.0]),
            Adult,
            Rer(1.4 + 0.2 * (0.5 - 0.343_49)),
        ),
        (
            "gains fast at ideal: the lower end, no less",
            dog(20.0).months(48).neutered().bcs(5).weighed(&[17.0, 18.0, 19.0, 20.0]),
            Adult,
            Rer(1.4),
        ),
        (
            "loses fast at ideal: the upper end, no more",
            dog(20.0).months(48).neutered().bcs(5).weighed(&[23.0, 22.0, 21.0, 20.0]),
            Adult,
            Rer(1.6),
        ),
        // It should gain 0.5 % a week: a third of the range above.
        (
            "thin and stands still",
            dog(20.0).months(48).neutered().bcs(3).weighed(&[20.0, 20.0, 20.0, 20.0]),
            Adult,
            Rer(1.4 + 0.2 * (0.5 + 1.0 / 3.0)),
        ),
        (
            "gains, condition unknown",
            dog(20.0).months(48).neutered().weighed(&[17.0, 18.0, 19.0, 20.0]),
            Adult,
            Rer(1.5),
        ),
        (
            "two weights are no trend",
            dog(20.0).months(48).neutered().bcs(5).weighed(&[18.0, 20.0]),
            Adult,
            Rer(1.5),
        ),
        (
            "one odd weight does not turn the trend",
            dog(20.0).months(48).neutered().bcs(5).weighed(&[20.0, 20.0, 12.0, 20.0, 20.0, 20.0]),
            Adult,
            Rer(1.5),
        ),
    ]
}

fn growing() -> Vec<Row> {
    vec![
        ("2 months, 3 of 20 kg", dog(3.0).months(2).adult_kg(20.0), Growth, Kcal(737.4)),
        ("4 months, 8 of 20 kg", dog(8.0).months(4).adult_kg(20.0), Growth, Puppy(20.0)),
        ("6 months, half grown", dog(10.0).months(6).adult_kg(20.0), Growth, Kcal(1_280.2)),
        ("11 months, 19 of 20 kg", dog(19.0).months(11).adult_kg(20.0), Growth, Puppy(20.0)),
        ("5 months, small", dog(2.5).months(5).adult_kg(4.0), Growth, Puppy(4.0)),
        ("18 months, giant", dog(50.0).months(18).adult_kg(60.0), Growth, Puppy(60.0)),
        ("23 months, giant by its weight", dog(48.0).months(23).intact(), Growth, Rer(2.0)),
        (
            "15 months, giant by its weight, a little round: no diet",
            dog(48.0).months(15).bcs(6),
            Growth,
            Rer(2.0),
        ),
        (
            "15 months, giant by its breed: no diet",
            dog(42.0).months(15).bcs(7).breed("Great Dane").level(WeightLoss),
            Growth,
            Rer(2.0),
        ),
        (
            "15 months, of a giant breed, a light one",
            dog(40.0).months(15).breed("great-dane").adult_kg(43.0),
            Growth,
            Puppy(43.0),
        ),
        (
            "15 months, giant, grown up says the owner",
            dog(48.0).months(15).bcs(6).stage(Adult),
            Adult,
            RerOfIdeal(1.0),
        ),
        ("15 months, large, a little round", dog(44.0).months(15).bcs(6), Adult, RerOfIdeal(1.0)),
        (
            "15 months, large, a mix",
            dog(44.0).months(15).bcs(6).breed("Great Dane mix"),
            Adult,
            RerOfIdeal(1.0),
        ),
        (
            "24 months, of a giant breed",
            dog(42.0).months(24).bcs(7).breed("Great Dane"),
            Adult,
            RerOfIdeal(1.0),
        ),
        ("24 months, giant", dog(60.0).months(24).adult_kg(60.0).intact(), Adult, Rer(1.7)),
        ("18 months, large", dog(30.0).months(18).adult_kg(32.0).neutered(), Adult, Rer(1.5)),
        ("above the adult's weight", dog(22.0).months(11).adult_kg(20.0), Growth, Kcal(1_347.8)),
        ("3 months, adult unknown", dog(5.0).months(3), Growth, Rer(3.0)),
        ("a day short of 4 months, adult unknown", dog(5.0).days_old(119), Growth, Rer(3.0)),
        ("4 months to the day, adult unknown", dog(5.0).months(4), Growth, Kcal(468.1)),
        ("10 months, adult unknown", dog(25.0).months(10), Growth, Rer(2.0)),
        ("grows, says the owner; age and adult unknown", dog(6.0).stage(Growth), Growth, Rer(2.5)),
        (
            "grows, whatever its level",
            dog(10.0).months(6).adult_kg(20.0).level(Inactive),
            Growth,
            Puppy(20.0),
        ),
        ("grows, no diet", dog(10.0).months(6).adult_kg(20.0).bcs(9).level(WeightLoss), Growth, Puppy(20.0)),
        (
            "grows, whatever its activity",
            dog(10.0).months(6).active(&[900.0; 30]).peers(40),
            Growth,
            Rer(2.0),
        ),
    ]
}

fn carrying() -> Vec<Row> {
    let mine = || dog(20.0).months(40).intact();
    vec![
        ("day 10", mine().mated(10), Gestation, Rer(1.7)),
        ("day 10, typical", mine().mated(10).level(Typical), Gestation, Rer(1.6)),
        ("day 10, no diet", mine().mated(10).bcs(8).level(WeightLoss), Gestation, Rer(1.7)),
        ("day 27", mine().mated(27), Gestation, Rer(1.7)),
        ("day 28, the fifth week", mine().mated(28), Gestation, Kcal(1_768.4)),
        ("day 45", dog(8.0).months(40).mated(45), Gestation, Bitch),
        ("day 62, large", dog(35.0).months(40).mated(62), Gestation, Bitch),
        ("day 66, overdue", mine().mated(66), Gestation, Bitch),
        ("day 40, no diet", mine().mated(40).bcs(9), Gestation, Bitch),
        ("day unknown", mine().stage(Gestation), Gestation, Rer(1.7)),
        ("males do not", dog(20.0).months(40).intact().male().mated(40), Adult, Rer(1.7)),
        ("neutered ones do not", dog(20.0).months(40).neutered().mated(40), Adult, Rer(1.5)),
    ]
}

fn nursing() -> Vec<Row> {
    let mine = |litter, days| dog(20.0).months(40).intact().litter(litter).littered(days);
    vec![
        ("1 pup, week 1", mine(1, 3), Lactation, NursingBitch(1.0, 0.75)),
        ("3 pups, week 2", mine(3, 7), Lactation, NursingBitch(3.0, 0.95)),
        ("4 pups, week 3", mine(4, 20), Lactation, Kcal(3_483.3)),
        ("5 pups, week 3", mine(5, 20), Lactation, NursingBitch(5.0, 1.1)),
        ("8 pups, week 4", mine(8, 27), Lactation, Kcal(4_827.3)),
        (
            "6 pups, week 1, small",
            dog(6.0).months(40).litter(6).littered(0),
            Lactation,
            NursingBitch(6.0, 0.75),
        ),
        ("12 pups as 8, week 4", mine(12, 21), Lactation, NursingBitch(8.0, 1.2)),
        ("6 pups, week 6 as the fourth", mine(6, 41), Lactation, NursingBitch(6.0, 1.2)),
        ("week 7: weaned", mine(6, 42), Adult, Rer(1.7)),
        ("week 7, says the owner", mine(6, 42).stage(Lactation), Lactation, NursingBitch(6.0, 1.2)),
        ("litter's size unknown", dog(20.0).months(40).littered(10), Lactation, Rer(4.5)),
        ("8 pups, day unknown", dog(20.0).months(40).litter(8).stage(Lactation), Lactation, Rer(6.0)),
        ("1 pup, day unknown", dog(20.0).months(40).litter(1).stage(Lactation), Lactation, Rer(3.0)),
        ("nurses, no diet", mine(4, 20).bcs(9).level(WeightLoss), Lactation, NursingBitch(4.0, 1.1)),
        ("males do not nurse", mine(4, 20).male(), Adult, Rer(1.7)),
        ("born since she was mated", mine(4, 1).mated(63), Lactation, NursingBitch(4.0, 0.75)),
    ]
}
