//! What a pet's days say, and what readings say that nobody keeps.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use petty_chassis::calendar::{self, zone};
use petty_chassis::types::PetId;
use petty_chassis::{ApiError, FieldError};
use petty_proto::behavior::v1 as wire;
use petty_proto::behavior::v1::episode::Behavior as WireBehavior;

use super::{Grpc, convert};
use crate::domain::alerts::Watch;
use crate::domain::history::{self, Anomaly, Change, DAYS_WANTED, Day, Figure, HourUsual, NoForecast, Usual};
use crate::domain::v1::{self, Head, Own};
use crate::domain::{Hour, Kin, Params, Position, Reading, Species, Stage, Totals};
use crate::interpreting::RULES;
use crate::pets::Pet;
use crate::store::episodes::Evidence;
use crate::store::{days, states};

/// So many days are looked back.
const DAYS: i64 = 60;
/// The most readings of one analysis.
const MOST: usize = 10_000;
/// What the spread of breaths asleep counts as at least, a minute (~).
const BREATHS_LEAST: f64 = 1.0;
/// Of the score.
const RULE_VERSION: &str = "health/2";

/// A pet as it is kept: what is known of it, its head, its days.
struct Known {
    pet: Option<Pet>,
    head: Option<Head>,
    /// Breaths asleep, by night.
    breaths: Vec<f64>,
    /// Of these the last night's, where that is one of now.
    last_breaths: Option<f64>,
    days: Vec<Day>,
    totals: Vec<(Date, Totals)>,
    last: Option<Date>,
    /// By the pet's clock.
    today: Date,
}

async fn known(grpc: &Grpc, pet: PetId) -> Result<Known, ApiError> {
    let now = grpc.clock.now();
    grpc.db
        .read("pet_days", |tx| async move {
            let state = states::get(&tx, pet).await?;
            let time_zone =
                state.as_ref().and_then(|state| state.pet.as_ref()).map(|about| zone(&about.time_zone));
            let today = calendar::date(now, &time_zone.unwrap_or(TimeZone::UTC));
            let told = days::told(&tx, pet, today.saturating_sub(DAYS.days())).await?;
            let breaths = state.as_ref().and_then(|state| state.watch.as_deref()).map(Watch::decode);
            let night = breaths.as_ref().and_then(Watch::last_night);
            // As other figures: the last night is one of now, or there is none.
            let night = night.filter(|(night, _)| history::is_recent(history::day(*night), today));
            let last_breaths = night.map(|(_, breaths)| breaths);
            let breaths = breaths.map(|watch| watch.nights()).unwrap_or_default();
            let (about, head) = state.map_or((None, None), |state| (state.pet, state.head));
            let head = head.as_deref().map(Head::decode).transpose().map_err(ApiError::internal)?;
            let last = told.last().map(|(date, _)| *date);
            let days = told.iter().filter_map(|(date, totals)| Day::of(*date, totals)).collect();
            Ok(Known { pet: about, head, breaths, last_breaths, days, totals: told, last, today })
        })
        .await
}

/// What is usual of a pet.
pub(super) async fn baseline(grpc: &Grpc, pet: PetId) -> Result<wire::Baseline, ApiError> {
    let known = known(grpc, pet).await?;
    let kin = known.pet.as_ref().map(Pet::kin);
    let now = grpc.clock.now().as_microsecond();
    let expected = Own::expected(kin.unwrap_or(Species::Dog.into()), now);
    let (heart, own) = known.head.map_or((None, None), |head| (head.baseline(), head.own()));
    let (heart, own) = (heart.unwrap_or(expected.asleep()), own.unwrap_or(expected));
    let breaths = Usual::of(&known.breaths);
    let usual_of = |of: &dyn Fn(&Day) -> Option<f64>, least: f64| {
        let figures: Vec<(Date, f64)> =
            known.days.iter().filter_map(|day| Some((day.date, of(day)?))).collect();
        let usual = Usual::decaying(&figures, known.last?)?;
        // The last day is one of now, or there is none.
        let last = figures.last().filter(|(date, _)| history::is_recent(*date, known.today));
        Some(told_usual(&usual, last.map(|(_, figure)| (*figure, least))))
    };
    let usual = |figure: Figure| usual_of(&|day| figure.of(day), figure.least());
    let totals: Vec<(Date, &[Hour])> =
        known.totals.iter().map(|(date, totals)| (*date, &totals.hours[..])).collect();
    // An anomaly is of the last day that was seen enough of, which may be long before the last that was told.
    let of_now = known.days.last().filter(|day| history::is_recent(day.date, known.today));
    let anomaly = of_now.and_then(|_| history::anomaly(&known.days));
    let hours = known.last.map(|last| history::hours(&totals, last)).unwrap_or_default();
    Ok(wire::Baseline {
        pet_id: pet.to_string(),
        calibrating: usize::from(heart.days) < DAYS_WANTED,
        sleeping_heart_rate: heart.sleeping_bpm,
        heart_rate_days: heart.days.into(),
        active_minutes: usual(Figure::Active),
        sleep_minutes: usual(Figure::Sleep),
        resting_heart_rate: usual(Figure::RestingHeartRate),
        night_awake_minutes: usual(Figure::NightAwake),
        hours: hours.iter().map(told_hour).collect(),
        anomaly: anomaly.as_ref().map(told_anomaly),
        night_resting_heart_rate: usual_of(
            &|day| day.night_resting_heart_rate,
            Figure::RestingHeartRate.least(),
        ),
        night_respiratory_rate: breaths
            .map(|usual| told_usual(&usual, known.last_breaths.map(|breaths| (breaths, BREATHS_LEAST)))),
        prior: kin.map(|kin| told_prior(kin, &expected, &own, breaths.as_ref(), now)),
        expected_resting_heart_rate: kin.map(|_| own.resting_bpm),
        expected_respiratory_rate: kin.map(|kin| Usual::towards(breaths.as_ref(), kin.sleeping_breaths()).0),
    })
}

fn told_prior(
    kin: Kin,
    expected: &Own,
    own: &Own,
    breaths: Option<&Usual>,
    now: i64,
) -> wire::baseline::Prior {
    let stage = kin.stage(now).map_or("", |stage| match stage {
        Stage::Young => "YOUNG",
        Stage::Grown => "GROWN",
    });
    wire::baseline::Prior {
        size: kin.build.size.map(|size| size.slug().to_uppercase()).unwrap_or_default(),
        stage: stage.to_owned(),
        resting_heart_rate: expected.resting_bpm,
        sleeping_heart_rate: expected.sleeping_bpm,
        respiratory_rate: kin.sleeping_breaths(),
        heart_rate_share: own.expected_share(),
        respiratory_rate_share: Usual::towards(breaths, kin.sleeping_breaths()).1,
    }
}

/// `last`: the last day's figure, and what the figure's spread counts as at least.
fn told_usual(usual: &Usual, last: Option<(f64, f64)>) -> wire::baseline::Usual {
    wire::baseline::Usual {
        median: usual.median,
        spread: usual.spread,
        days: i32::try_from(usual.days).unwrap_or(i32::MAX),
        last_away: last.map_or(0.0, |(last, least)| usual.away(last, least)),
    }
}

fn told_hour(hour: &HourUsual) -> wire::baseline::Hour {
    wire::baseline::Hour {
        hour: hour.hour.into(),
        weekend: hour.weekend,
        active_minutes: hour.active_minutes.as_ref().map(|usual| told_usual(usual, None)),
        resting_heart_rate: hour.resting_heart_rate.as_ref().map(|usual| told_usual(usual, None)),
    }
}

fn told_anomaly(anomaly: &Anomaly) -> wire::baseline::Anomaly {
    let features = anomaly.features.iter().map(|feature| {
        let (change, change_date, change_per_day) = match feature.change {
            None => ("", String::new(), None),
            Some(Change::Sudden(date)) => ("SUDDEN", date.to_string(), None),
            Some(Change::Drift(slope)) => ("DRIFT", String::new(), Some(slope)),
        };
        wire::baseline::Feature {
            figure: feature.figure.name().to_owned(),
            value: feature.value,
            usual: feature.usual.median,
            away: feature.away,
            change: change.to_owned(),
            change_date,
            change_per_day,
        }
    });
    wire::baseline::Anomaly {
        score: anomaly.score,
        features: features.collect(),
        date: anomaly.date.to_string(),
    }
}

/// How a pet fares.
pub(super) async fn health_score(grpc: &Grpc, pet: PetId) -> Result<wire::HealthScore, ApiError> {
    let known = known(grpc, pet).await?;
    let score = known.pet.and_then(|about| history::score(about.kin(), &known.days, known.today));
    let missing = if score.is_some() { 0 } else { history::missing_days(&known.days, known.today).max(1) };
    Ok(wire::HealthScore {
        pet_id: pet.to_string(),
        score: score.map(|score| score.score),
        sleep: score.map(|score| score.sleep),
        activity: score.and_then(|score| score.activity),
        vitals: score.and_then(|score| score.vitals),
        regularity: score.map(|score| score.regularity),
        days: i32::try_from(known.days.len()).unwrap_or(i32::MAX),
        missing_days: i32::try_from(missing).unwrap_or(i32::MAX),
        rule_version: RULE_VERSION.to_owned(),
        date: score.map(|score| score.date.to_string()).unwrap_or_default(),
    })
}

/// What is to be expected of the first day that is not over and of which nothing is counted.
pub(super) async fn forecast(grpc: &Grpc, pet: PetId) -> Result<wire::Forecast, ApiError> {
    let known = known(grpc, pet).await?;
    let last = known.last.filter(|last| history::is_recent(*last, known.today));
    // The day after the last one that is closed may be over all the same: days close hours after their end, and a collar may be away.
    let date = last.and_then(|last| last.tomorrow().ok()).map(|date| date.max(known.today));
    let told = |figure: &dyn Fn(&Day) -> Option<f64>| match date {
        Some(date) => history::forecast(&known.days, date, figure),
        None => Err(NoForecast::TooFewDays),
    };
    let figure = |figure: &dyn Fn(&Day) -> Option<f64>| match told(figure) {
        Ok(told) => wire::forecast::Figure {
            expected: Some(told.expected),
            low: Some(told.low),
            high: Some(told.high),
            skill: Some(told.skill),
            missing: String::new(),
        },
        Err(why) => {
            let missing = match why {
                NoForecast::TooFewDays => "TOO_FEW_DAYS",
                NoForecast::NoBetterThanNaive => "NO_BETTER_THAN_NAIVE",
            };
            wire::forecast::Figure { missing: missing.to_owned(), ..Default::default() }
        }
    };
    Ok(wire::Forecast {
        pet_id: pet.to_string(),
        date: date.map(|date| date.to_string()).unwrap_or_default(),
        active_minutes: Some(figure(&|day| day.active_minutes)),
        resting_heart_rate: Some(figure(&|day| day.resting_heart_rate)),
    })
}

/// The readings of a request.
pub(super) fn readings(request: &wire::AnalyzeReadingsRequest) -> Result<(Params, Vec<Reading>), ApiError> {
    let mut faults = Vec::new();
    let species = match request.species.as_str() {
        "DOG" => Species::Dog,
        "CAT" => Species::Cat,
        "" => {
            faults.push(FieldError::required("species"));
            Species::Dog
        }
        _ => {
            faults.push(FieldError::malformed("species", "must be DOG or CAT"));
            Species::Dog
        }
    };
    let seconds = request.sampling_interval_seconds;
    if seconds.is_some_and(|seconds| !(1..=600).contains(&seconds)) {
        faults.push(FieldError::out_of_range("sampling_interval_seconds", "must be 1 to 600"));
    }
    if request.readings.is_empty() || request.readings.len() > MOST {
        faults.push(FieldError::out_of_range("readings", "must be 1 to 10000"));
        return Err(ApiError::invalid(faults));
    }
    let mut readings = Vec::with_capacity(request.readings.len());
    for (nth, asked) in request.readings.iter().enumerate() {
        // What is wrong with a hundred is said; thousands help nobody.
        if faults.len() >= 100 {
            break;
        }
        readings.extend(reading(nth, asked, &mut faults));
    }
    if faults.is_empty() {
        let sampling_interval = seconds.map(|seconds| SignedDuration::from_secs(seconds.into()));
        Ok((Params { sampling_interval, ..Params::of(species) }, readings))
    } else {
        Err(ApiError::invalid(faults))
    }
}

fn reading(
    nth: usize,
    asked: &wire::analyze_readings_request::Reading,
    faults: &mut Vec<FieldError>,
) -> Option<Reading> {
    let before = faults.len();
    let mut within = |name: &str, figure: Option<f64>, least: f64, most: f64| {
        if figure.is_some_and(|figure| !(least..=most).contains(&figure)) {
            let reason = format!("must be {least} to {most}");
            faults.push(FieldError::out_of_range(format!("readings[{nth}].{name}"), reason));
        }
    };
    within("heart_rate", asked.heart_rate, 30.0, 300.0);
    within("activity_level", asked.activity_level.map(f64::from), 0.0, 2.0);
    within("respiratory_rate", asked.respiratory_rate, 1.0, 200.0);
    within("latitude", asked.latitude, -90.0, 90.0);
    within("longitude", asked.longitude, -180.0, 180.0);
    within("accuracy_m", asked.accuracy_m, 0.0, 100_000.0);
    let at = asked.timestamp.and_then(|time| Timestamp::try_from(time).ok());
    if at.is_none() {
        faults.push(FieldError::malformed(format!("readings[{nth}].timestamp"), "must be a time"));
    }
    if asked.latitude.is_some() != asked.longitude.is_some() {
        let name = if asked.latitude.is_some() { "longitude" } else { "latitude" };
        faults.push(FieldError::malformed(format!("readings[{nth}].{name}"), "must be there with the other"));
    }
    let position = asked.latitude.zip(asked.longitude).map(|(latitude, longitude)| Position {
        latitude,
        longitude,
        accuracy_m: asked.accuracy_m,
    });
    (faults.len() == before).then_some(Reading {
        at: at?,
        heart_rate: asked.heart_rate,
        activity_level: asked.activity_level.and_then(|level| u8::try_from(level).ok()),
        respiratory_rate: asked.respiratory_rate,
        position,
    })
}

/// What readings say.
pub(super) fn analyze(params: &Params, readings: &[Reading]) -> wire::AnalyzeReadingsResponse {
    let episodes = v1::interpret(&RULES, params, readings).into_iter().map(|episode| wire::Episode {
        behavior: WireBehavior::from(episode.behavior).into(),
        start_time: Some(episode.start.into()),
        end_time: Some(episode.end.into()),
        open: episode.open,
        confidence: episode.confidence,
        evidence: Some(convert::evidence(Evidence::of(&episode.evidence))),
        ..wire::Episode::default()
    });
    wire::AnalyzeReadingsResponse { episodes: episodes.collect() }
}
