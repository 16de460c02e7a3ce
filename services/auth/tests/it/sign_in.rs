//! Attempts that are counted and slowed down, and devices that are not held up by others.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use petty_proto::auth::v1 as wire;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::harness::{Harness, PASSWORD, credentials, fields, refusal};

const WRONG: &str = "not that passphrase";
const HERE: &str = "192.0.2.1";
const FREE: usize = 10;

fn bad() -> (Code, String) {
    (Code::Unauthenticated, "BAD_CREDENTIALS".to_owned())
}

fn too_many() -> (Code, String) {
    (Code::ResourceExhausted, "TOO_MANY_ATTEMPTS".to_owned())
}

fn pause(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

/// A log-in from a device that may be known.
fn on(device: &str, email: &str, password: &str) -> wire::LogInRequest {
    wire::LogInRequest { device_token: Some(device.to_owned()), ..credentials(email, password) }
}

/// Signs in, and answers the device's token.
async fn device(harness: &Harness, email: &str) -> String {
    let answer = harness.log_in_from("198.51.100.7", credentials(email, PASSWORD)).await.unwrap();
    answer.device_token.unwrap()
}

#[tokio::test]
async fn of_a_hundred_wrong_passphrases_at_once_ten_are_tried_and_the_owner_gets_in() {
    let harness = Harness::start().await;
    let replica = harness.replica().await;
    let ada = harness.user("ada").await;
    let device = device(&harness, &ada.email).await;
    let storm = (0..100).map(|turn| {
        let harness = if turn % 2 == 0 { &harness } else { &replica };
        let address = format!("203.0.113.{turn}");
        let email = &ada.email;
        async move { harness.log_in_from(&address, credentials(email, WRONG)).await }
    });
    let mut refused = BTreeMap::new();
    for answer in join_all(storm).await {
        let status = answer.clone().unwrap_err();
        assert_eq!(pause(&status).is_some(), status.code() == Code::ResourceExhausted, "{status:?}");
        *refused.entry(refusal(answer).1).or_insert(0) += 1;
    }
    let expected = [("BAD_CREDENTIALS".to_owned(), FREE), ("TOO_MANY_ATTEMPTS".to_owned(), 100 - FREE)];
    assert_eq!(refused, BTreeMap::from(expected));
    let tried = "SELECT count(*) FROM audit_log WHERE action = 'LOG_IN' AND outcome = 'REFUSED'";
    assert_eq!(harness.value(tried).await, FREE.to_string());

    // Whoever knows the passphrase has to wait, unless the device is known.
    assert_eq!(refusal(harness.log_in_from(HERE, credentials(&ada.email, PASSWORD)).await), too_many());
    let owner = replica.log_in_from("203.0.113.1", on(&device, &ada.email, PASSWORD)).await.unwrap();
    assert_eq!(owner.device_token, None);
    harness.pass(1);
    harness.log_in_from(HERE, credentials(&ada.email, PASSWORD)).await.unwrap();
}

#[tokio::test]
async fn a_hundred_in_a_row_are_all_and_take_most_of_a_day_known_address_or_not() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let device = device(&harness, &ada.email).await;
    let (mut tried, mut waited) = (0, 0);
    let locked = loop {
        let known = harness.log_in_from(HERE, credentials(&ada.email, WRONG)).await.unwrap_err();
        let unknown = harness.log_in_from(HERE, credentials("bob@example.org", WRONG)).await.unwrap_err();
        assert_eq!((known.code(), known.message()), (unknown.code(), unknown.message()));
        assert_eq!(known.details(), unknown.details());
        let reason = refusal::<()>(Err(known.clone()));
        match (reason == bad(), pause(&known)) {
            (true, None) => tried += 1,
            (false, Some(pause)) if reason == too_many() => {
                waited += pause.as_secs();
                harness.pass(i64::try_from(pause.as_secs()).unwrap());
            }
            _ => break reason,
        }
        // Another source each time: this is about the addresses.
        harness.rows("DELETE FROM throttles WHERE kind = 'source'").await.unwrap();
    };
    assert_eq!(locked, (Code::ResourceExhausted, "SIGN_IN_LOCKED".to_owned()));
    assert_eq!(tried, 100);
    assert!((18 * 3_600..24 * 3_600).contains(&waited), "{waited}");
    harness.pass(30 * 86_400);
    assert_eq!(refusal(harness.log_in_from(HERE, credentials(&ada.email, PASSWORD)).await), locked);
    harness.log_in_from(HERE, on(&device, &ada.email, PASSWORD)).await.unwrap();
}

#[tokio::test]
async fn a_success_forgets_the_failures_before_it() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    for _ in 0..3 {
        for _ in 1..FREE {
            assert_eq!(refusal(harness.log_in_from(HERE, credentials(&ada.email, WRONG)).await), bad());
        }
        harness.log_in_from(HERE, credentials(&ada.email, PASSWORD)).await.unwrap();
    }
    // At once, and right: none is a failure.
    let right = (0..FREE).map(|_| harness.log_in_from(HERE, credentials(&ada.email, PASSWORD)));
    assert!(join_all(right).await.into_iter().all(|answer| answer.is_ok()));
}

#[tokio::test]
async fn a_source_may_fail_a_hundred_times_whatever_the_addresses_and_successes_do_not_count() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let device = device(&harness, &ada.email).await;
    for _ in 0..3 {
        harness.log_in_from("2001:db8::1", credentials(&ada.email, PASSWORD)).await.unwrap();
    }
    for turn in 0..100 {
        let answer = harness
            .log_in_from(
                &format!("2001:db8::{turn:x}"),
                credentials(&format!("nobody{turn}@example.org"), WRONG),
            )
            .await;
        assert_eq!(refusal(answer), bad(), "{turn}");
    }
    let right = credentials(&ada.email, PASSWORD);
    assert_eq!(refusal(harness.log_in_from("2001:db8::ffff:1", right.clone()).await), too_many());
    harness.log_in_from("2001:db8:0:1::1", right.clone()).await.unwrap();
    harness.log_in_from("2001:db8::ffff:1", on(&device, &ada.email, PASSWORD)).await.unwrap();
    harness.pass(30);
    harness.log_in_from("2001:db8::ffff:1", right).await.unwrap();
    // Nothing says whom or where it was about.
    let plain = "SELECT count(*) FROM throttles t WHERE t::text ~ 'nobody|example|2001:db8'";
    assert_eq!(harness.value(plain).await, "0");
}

#[tokio::test]
async fn sign_ups_that_fail_count_against_their_source_and_those_that_succeed_do_not() {
    let harness = Harness::start().await;
    let sign_up = |email: &str| {
        let (email, password) = (email.to_owned(), PASSWORD.to_owned());
        let request = harness.from(HERE, wire::SignUpRequest { email, password, ..Default::default() });
        let mut client = harness.accounts();
        async move { client.sign_up(request).await }
    };
    sign_up("ada@example.org").await.unwrap();
    let taken = (Code::AlreadyExists, "EMAIL_TAKEN".to_owned());
    for _ in 0..100 {
        assert_eq!(refusal(sign_up("ada@example.org").await), taken);
    }
    assert_eq!(refusal(sign_up("ada@example.org").await), too_many());
    assert_eq!(
        refusal(harness.log_in_from(HERE, credentials("ada@example.org", PASSWORD)).await),
        too_many()
    );
    harness.log_in_from("192.0.2.2", credentials("ada@example.org", PASSWORD)).await.unwrap();
}

#[tokio::test]
async fn a_device_is_known_to_its_own_account_has_its_own_count_and_twenty_are_remembered() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let known = device(&harness, &ada.email).await;
    // Somebody else's is none, and neither is a made-up one: they are counted with all others.
    for turn in 0..FREE {
        let shown = if turn % 2 == 0 { &known } else { "made up" };
        assert_eq!(refusal(harness.log_in_from(HERE, on(shown, &bob.email, WRONG)).await), bad());
    }
    assert_eq!(refusal(harness.log_in_from(HERE, credentials(&bob.email, PASSWORD)).await), too_many());

    // A known one that fails holds up itself alone.
    for _ in 0..FREE {
        assert_eq!(refusal(harness.log_in_from(HERE, on(&known, &ada.email, WRONG)).await), bad());
    }
    assert_eq!(refusal(harness.log_in_from(HERE, on(&known, &ada.email, PASSWORD)).await), too_many());
    harness.log_in_from(HERE, credentials(&ada.email, PASSWORD)).await.unwrap();
    harness.pass(1);
    harness.log_in_from(HERE, on(&known, &ada.email, PASSWORD)).await.unwrap();

    for _ in 0..25 {
        harness.log_in_from(HERE, credentials(&ada.email, PASSWORD)).await.unwrap();
    }
    let devices = "SELECT count(*) FROM known_devices d JOIN accounts USING (account_id)";
    assert_eq!(harness.value(devices).await, "20");
    // The one that came back is among them.
    assert_eq!(harness.log_in_from(HERE, on(&known, &ada.email, PASSWORD)).await.unwrap().device_token, None);
    let plain = format!("SELECT count(*) FROM known_devices d WHERE d::text LIKE '%{known}%'");
    assert_eq!(harness.value(&plain).await, "0");
    harness.pass(181 * 86_400);
    assert!(
        harness.log_in_from(HERE, on(&known, &ada.email, PASSWORD)).await.unwrap().device_token.is_some()
    );
}

#[tokio::test]
async fn secrets_that_nobody_can_guess_are_counted_when_wrong_and_pass_when_right() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let pet = harness.pet(&ada, "Rex").await;
    let secret = harness.pair(&ada, &pet, "collar-1").await.secret;
    let collar = |secret: &str| {
        let secret = secret.to_owned();
        let request = wire::IssueCollarTokenRequest { collar_id: "collar-1".to_owned(), secret };
        let (mut client, request) = (harness.tokens(), harness.from(HERE, request));
        async move { client.issue_collar_token(request).await }
    };
    let refresh = |token: &str| {
        let request = wire::RefreshRequest { refresh_token: token.to_owned() };
        let (mut client, request) = (harness.tokens(), harness.from(HERE, request));
        async move { client.refresh(request).await }
    };
    let redeem = |ticket: &str| {
        let request = wire::RedeemStreamTicketRequest { ticket: ticket.to_owned() };
        let (mut client, request) = (harness.tokens(), harness.from(HERE, request));
        async move { client.redeem_stream_ticket(request).await }
    };
    let issue = harness.with(&ada.token, wire::IssueStreamTicketRequest {});
    let ticket = harness.tokens().issue_stream_ticket(issue).await.unwrap().into_inner().ticket;

    assert!(
        join_all((0..100).map(|_| collar(WRONG))).await.into_iter().all(|answer| refusal(answer) == bad())
    );
    assert_eq!(refusal(collar(WRONG).await), too_many());
    assert_eq!(refusal(refresh(WRONG).await), too_many());
    assert_eq!(refusal(redeem(WRONG).await), too_many());
    let noted = "SELECT count(*) FROM audit_log WHERE action = 'ISSUE_COLLAR_TOKEN' AND outcome = 'REFUSED'";
    assert_eq!(harness.value(noted).await, "100");
    collar(&secret).await.unwrap();
    refresh(&ada.refresh).await.unwrap();
    redeem(&ticket).await.unwrap();
    // People's own attempts are counted apart.
    harness.log_in_from(HERE, credentials(&ada.email, PASSWORD)).await.unwrap();
}

#[tokio::test]
async fn known_and_unknown_addresses_are_answered_with_the_same_headers_too() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let mut seen = Vec::new();
    for email in [ada.email.as_str(), "bob@example.org"] {
        let status = harness.log_in_from(HERE, credentials(email, WRONG)).await.unwrap_err();
        let mut headers = status.metadata().clone().into_headers();
        for own in ["x-request-id", "date", "traceparent"] {
            headers.remove(own);
        }
        let counted = harness
            .rows("SELECT kind, failures, next_at <= now() + interval '1 h' FROM throttles WHERE kind = 'address'")
            .await
            .unwrap();
        seen.push((
            status.code(),
            status.message().to_owned(),
            status.details().to_vec(),
            headers,
            counted[0].clone(),
        ));
        harness.rows("DELETE FROM throttles").await.unwrap();
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn what_is_too_long_is_refused_before_it_costs_anything() {
    let harness = Harness::start().await;
    let long = "x".repeat(300);
    let request = wire::LogInRequest {
        email: "ada@example.org".to_owned(),
        password: "x".repeat(1_000_000),
        otp: Some(long.clone()),
        device_token: Some(long),
    };
    assert_eq!(fields(harness.log_in_from(HERE, request).await), ["password", "otp", "device_token"]);
    assert_eq!(harness.value("SELECT count(*) FROM throttles").await, "0");
}

/// What is counted against a kind, once housekeeping has left so many.
async fn left(harness: &Harness, kind: &str, expected: &str) {
    let sql = format!("SELECT count(*) FROM throttles WHERE kind = '{kind}'");
    for _ in 0..200 {
        if harness.value(&sql).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} of {kind}, not {expected}", harness.value(&sql).await);
}

#[tokio::test]
async fn known_and_unknown_addresses_are_remembered_equally_long() {
    const DAY: i64 = 24 * 60 * 60;
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    for email in [ada.email.as_str(), "bob@example.org"] {
        assert_eq!(refusal(harness.log_in_from(HERE, credentials(email, WRONG)).await), bad());
    }
    harness.pass(31 * DAY);
    // A replica forgets what is old as it starts.
    let _month = harness.replica().await;
    left(&harness, "source", "0").await;
    left(&harness, "address", "2").await;
    harness.pass(336 * DAY);
    let _year = harness.replica().await;
    left(&harness, "address", "0").await;
}
