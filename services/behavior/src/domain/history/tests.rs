use super::super::Build;
use super::*;

/// Days of a pet, each with its figures.
fn days(count: i32, figures: impl Fn(i32) -> (f64, f64, f64)) -> Vec<Day> {
    (0..count)
        .map(|nth| {
            let (active_minutes, sleep_minutes, rate) = figures(nth);
            let active_minutes = Some(active_minutes);
            let date = Date::constant(2026, 1, 5) + jiff::Span::new().days(nth);
            let night_awake_minutes = Some(20.0 + f64::from(nth % 3));
            let resting_heart_rate = Some(rate);
            let night_resting_heart_rate = None;
            Day {
                date,
                active_minutes,
                sleep_minutes,
                resting_heart_rate,
                night_awake_minutes,
                night_resting_heart_rate,
            }
        })
        .collect()
}

/// The same each week, with a little of everything.
fn weekly(nth: i32) -> (f64, f64, f64) {
    let weekend = if nth % 7 >= 5 { 60.0 } else { 0.0 };
    (120.0 + weekend + f64::from(nth * 7 % 5), 700.0 + f64::from(nth * 3 % 11), 60.0 + f64::from(nth % 2))
}

#[test]
fn medians_and_slopes_are_not_moved_by_one_odd_day() {
    assert_eq!(median(&[]), None);
    assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0])), (Some(2.0), Some(2.5)));
    let mut points: Vec<(f64, f64)> = (0..20).map(|x| (f64::from(x), 2.0 * f64::from(x))).collect();
    points[7].1 = 1e6;
    assert!((theil_sen(&points) - 2.0).abs() < 1e-9);
    let usual = Usual::of(&[10.0, 11.0, 9.0, 10.0, 500.0]).unwrap();
    assert!((usual.median - 10.0).abs() < 1e-9 && usual.spread < 3.0);
}

#[test]
fn what_is_to_be_expected_counts_less_with_each_day_of_its_own() {
    let usual = |days: usize| Usual::of(&vec![20.0; days]);
    assert_eq!(Usual::towards(None, 13.0), (13.0, 1.0));
    assert_eq!(Usual::towards(usual(1).as_ref(), 13.0), (16.5, 0.5));
    let (towards, share) = Usual::towards(usual(7).as_ref(), 13.0);
    assert!((towards - 19.125).abs() < 1e-9 && (share - 0.125).abs() < 1e-9);
}

#[test]
fn a_rise_of_weeks_is_a_trend_and_a_steady_heart_is_none() {
    let rising = days(40, |nth| (100.0, 700.0, 60.0 + 0.3 * f64::from(nth) + f64::from(nth % 3)));
    let Some(Trend::Rises(rise, percent)) = trend(&rising) else { panic!("{:?}", trend(&rising)) };
    assert!((rise - 12.0).abs() < 1.5 && (15.0..25.0).contains(&percent), "{rise} {percent}");
    assert_eq!(trend(&days(40, |nth| (100.0, 700.0, 60.0 + f64::from(nth * 7 % 5)))), Some(Trend::Even));
    assert_eq!(trend(&rising[..20]), None, "too few days");
    // Twelve hundredths of a beat a day are eight percent: less than is told, and more than is over.
    let slowly = days(40, |nth| (100.0, 700.0, 60.0 + 0.12 * f64::from(nth)));
    assert_eq!(trend(&slowly), Some(Trend::Unsure));
    let hardly = days(40, |nth| (100.0, 700.0, 60.0 + 0.05 * f64::from(nth)));
    assert_eq!(trend(&hardly), Some(Trend::Even));
}

#[test]
fn a_restless_night_is_one_beyond_what_is_usual() {
    let mut nights = days(12, weekly);
    assert_eq!(restless(&nights), Some(Err(())));
    nights[11].night_awake_minutes = Some(120.0);
    assert_eq!(restless(&nights), Some(Ok((120.0, 21.0))));
    assert_eq!(restless(&nights[6..]), None, "not seven nights before");
}

#[test]
fn a_pet_as_ever_fares_well_and_one_that_changed_does_not() {
    let today = |days: &[Day]| days[days.len() - 1].date.tomorrow().unwrap();
    let score = |kin: Kin, days: &[Day]| score(kin, days, today(days));
    let well = score(Species::Dog.into(), &days(30, weekly)).unwrap();
    assert!(well.score > 85.0, "{well:?}");
    let ill = days(30, |nth| if nth < 27 { weekly(nth) } else { (20.0, 1_100.0, 85.0) });
    let ill = score(Species::Dog.into(), &ill).unwrap();
    assert!(
        ill.vitals.unwrap() < 20.0 && ill.activity.unwrap() < 20.0 && ill.score < well.score - 30.0,
        "{ill:?}"
    );
    assert_eq!(score(Species::Dog.into(), &days(9, weekly)), None, "too few days say nothing");
    // As ever, and far above what is usual of dogs: a little less well; of a puppy of ten weeks that is as it should be.
    let fast = days(30, |nth| (weekly(nth).0, weekly(nth).1, 110.0 + f64::from(nth % 2)));
    let vitals = |kin: Kin| score(kin, &fast).unwrap().vitals.unwrap();
    assert!((vitals(Species::Dog.into()) - 70.0).abs() < 2.0);
    let born = Some(Date::constant(2025, 11, 25));
    assert!(vitals(Kin { species: Species::Dog, build: Build::new(None, born) }) > 99.0);
    let unmeasured: Vec<Day> =
        days(30, weekly).into_iter().map(|day| Day { resting_heart_rate: None, ..day }).collect();
    assert_eq!(score(Species::Dog.into(), &unmeasured).unwrap().vitals, None);
}

#[test]
fn a_forecast_is_told_where_it_beats_yesterday() {
    let after = |days: &[Day]| days[days.len() - 1].date.tomorrow().unwrap();
    let forecast_of = |days: &[Day]| forecast(days, after(days), |day| day.active_minutes);
    let weeks = days(42, weekly);
    let told = forecast_of(&weeks).unwrap();
    // The next day is a Monday.
    assert!(
        (115.0..130.0).contains(&told.expected) && told.low <= told.expected && told.expected <= told.high,
        "{told:?}"
    );
    assert!(told.skill > 0.5, "{told:?}");
    // Of the day that it is asked for, though the one before was hardly seen: a Saturday after a Friday without a figure.
    let unseen = &weeks[..weeks.len() - 2];
    let told = forecast(&unseen[..unseen.len() - 1], after(unseen), |day| day.active_minutes).unwrap();
    let [friday, saturday] = [unseen.len() - 1, unseen.len()].map(|nth| weeks[nth].active_minutes.unwrap());
    assert!((told.expected - saturday).abs() < (told.expected - friday).abs(), "{told:?}");
    assert_eq!(forecast_of(&weeks[..20]), Err(NoForecast::TooFewDays));
    // What goes its own way is best told by the day before.
    let mut level = 100.0;
    let wander = days(42, |_| (0.0, 0.0, 60.0));
    let wander: Vec<Day> = wander
        .into_iter()
        .enumerate()
        .map(|(nth, day)| {
            level += if nth / 4 % 2 == 0 { 40.0 } else { -38.0 };
            Day { active_minutes: Some(level), ..day }
        })
        .collect();
    assert_eq!(forecast_of(&wander), Err(NoForecast::NoBetterThanNaive));
}

#[test]
fn a_collar_that_tells_heart_rates_alone_is_no_pet_that_lies_all_day() {
    let known = |minutes: f64, motionless_minutes: f64| {
        let behaviors = [(Behavior::Resting, (minutes, 3)), (Behavior::Unknown, (1_440.0 - minutes, 3))];
        let totals = Totals {
            covered_minutes: 1_440.0,
            behaviors: behaviors.into(),
            motionless_minutes,
            ..Totals::default()
        };
        Day::of(Date::constant(2026, 1, 5), &totals)
    };
    assert_eq!(known(1_000.0, 100.0).unwrap().active_minutes, Some(0.0));
    assert_eq!(known(1_000.0, 1_000.0).unwrap().active_minutes, None);
    assert_eq!(known(100.0, 0.0), None, "a collar on its charger is seen, and nothing is known of its pet");
    let unmeasured: Vec<Day> =
        days(30, weekly).into_iter().map(|day| Day { active_minutes: None, ..day }).collect();
    let fares = score(Species::Dog.into(), &unmeasured, unmeasured[29].date).unwrap();
    assert!(fares.activity.is_none() && fares.score > 85.0, "{fares:?}");
}

#[test]
fn what_was_months_ago_is_no_score_of_now() {
    let days = days(30, weekly);
    let after = |date: Date, span: i32| date.checked_add(jiff::Span::new().days(span)).unwrap();
    let missing = |span| missing_days(&days, after(days[29].date, span));
    assert_eq!([missing(1), missing(5), missing(6), missing(200)], [0, 0, 1, 3]);
    assert_eq!(missing_days(&days[..9], days[8].date), 1);
    assert_eq!(score(Species::Dog.into(), &days, after(days[29].date, 6)), None);
}

#[test]
fn what_is_the_same_each_day_is_no_better_than_the_day_before() {
    let still = days(30, |_| (0.0, 700.0, 60.0));
    let found = forecast(&still, still[29].date.tomorrow().unwrap(), |day| day.active_minutes);
    assert_eq!(found, Err(NoForecast::NoBetterThanNaive));
}
