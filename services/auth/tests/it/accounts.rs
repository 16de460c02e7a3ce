//! Signing up and in.

use petty_proto::auth::v1 as wire;
use tonic::Code;

use crate::harness::{Harness, PASSWORD, fields, refusal};

fn sign_up(email: &str, password: &str) -> wire::SignUpRequest {
    wire::SignUpRequest { email: email.to_owned(), password: password.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn an_account_signs_up_once_and_in_as_often_as_it_likes() {
    let harness = Harness::start().await;
    let mut request = sign_up("Ada@Example.org", "e\u{301}veryone likes dogs");
    request.name = Some("Ada".to_owned());
    request.time_zone = Some("Europe/Berlin".to_owned());
    let answer = harness.accounts().sign_up(harness.anonymous(request.clone())).await.unwrap().into_inner();
    assert_eq!((answer.token_type.as_str(), answer.expires_in), ("Bearer", 900));
    assert_eq!(answer.scope, "pets:read pets:write readings:write feedback:write");
    let me = harness.me(&answer.access_token).await.unwrap();
    assert_eq!((me.email.as_str(), me.name.as_deref()), ("Ada@Example.org", Some("Ada")));
    assert_eq!((me.account_id, me.time_zone.as_str()), (answer.account_id.clone(), "Europe/Berlin"));

    request.email = "ada@EXAMPLE.ORG".to_owned();
    let again = harness.accounts().sign_up(harness.anonymous(request)).await;
    assert_eq!(refusal(again), (Code::AlreadyExists, "EMAIL_TAKEN".to_owned()));
    assert_eq!(harness.value("SELECT count(*) FROM accounts").await, "1");

    // The address in another case, the passphrase in another normal form.
    let login = wire::LogInRequest {
        email: "ADA@example.org".to_owned(),
        password: "\u{e9}veryone likes dogs".to_owned(),
        ..Default::default()
    };
    let first = harness.tokens().log_in(harness.anonymous(login.clone())).await.unwrap().into_inner();
    let second = harness.tokens().log_in(harness.anonymous(login)).await.unwrap().into_inner();
    assert_eq!(first.account_id, answer.account_id);
    assert_ne!(first.refresh_token, second.refresh_token);
    for token in [&first, &second, &answer] {
        harness.me(&token.access_token).await.unwrap();
    }
}

#[tokio::test]
async fn bad_sign_ups_name_their_fields_and_store_nothing() {
    let harness = Harness::start().await;
    let long = "x".repeat(101);
    let odd = |change: &dyn Fn(&mut wire::SignUpRequest)| {
        let mut request = sign_up("ada@example.org", PASSWORD);
        change(&mut request);
        request
    };
    for (request, expected) in [
        (sign_up("", ""), vec!["email", "password"]),
        (sign_up("ada", PASSWORD), vec!["email"]),
        (sign_up("ada@example.org", "fourteen chars"), vec!["password"]),
        (sign_up("ada@example.org", &"x".repeat(257)), vec!["password"]),
        // Among the first that anybody would try.
        (sign_up("ada@example.org", "passwordpassword"), vec!["password"]),
        (sign_up("ada.lovelace@example.org", "Ada.Lovelace.Ada.Lovelace"), vec!["password"]),
        (odd(&|request| request.name = Some(long.clone())), vec!["name"]),
        (odd(&|request| request.time_zone = Some("Mars/Olympus".to_owned())), vec!["time_zone"]),
    ] {
        let answer = harness.accounts().sign_up(harness.anonymous(request.clone())).await;
        assert_eq!(fields(answer), expected, "{}", request.email);
    }
    assert_eq!(harness.value("SELECT count(*) FROM accounts").await, "0");
    assert_eq!(harness.value("SELECT count(*) FROM audit_log WHERE actor_kind <> 'SERVICE'").await, "0");
}

#[tokio::test]
async fn unknown_addresses_and_wrong_passphrases_are_answered_alike() {
    let harness = Harness::start().await;
    harness.user("ada").await;
    let attempt = |email: &str, password: &str| {
        let request = wire::LogInRequest {
            email: email.to_owned(),
            password: password.to_owned(),
            ..Default::default()
        };
        let (mut client, request) = (harness.tokens(), harness.anonymous(request));
        async move { client.log_in(request).await }
    };
    let wrong = attempt("ada@example.org", "not that passphrase").await.unwrap_err();
    let unknown = attempt("bob@example.org", "not that passphrase").await.unwrap_err();
    assert_eq!((wrong.code(), wrong.message()), (unknown.code(), unknown.message()));
    assert_eq!(wrong.details(), unknown.details());
    assert_eq!(refusal::<()>(Err(wrong)), (Code::Unauthenticated, "BAD_CREDENTIALS".to_owned()));
    assert_eq!(fields(attempt("", "").await), ["email", "password"]);
    let refused = "SELECT count(*) FROM audit_log WHERE action = 'LOG_IN' AND outcome = 'REFUSED'";
    assert_eq!(harness.value(refused).await, "2");
}

#[tokio::test]
async fn closed_sign_up_is_refused_and_the_bootstrap_account_is_staff() {
    let stack = petty_provision::shared().await.unwrap();
    let more = [
        ("PETTY_SIGNUP", "closed"),
        ("PETTY_BOOTSTRAP_EMAIL", "staff@example.org"),
        ("PETTY_BOOTSTRAP_PASSWORD", PASSWORD),
        ("PETTY_TOKEN_ALGORITHM", "RS256"),
    ];
    let harness = Harness::start_with(stack, &more).await;
    let answer = harness.accounts().sign_up(harness.anonymous(sign_up("ada@example.org", PASSWORD))).await;
    assert_eq!(refusal(answer), (Code::PermissionDenied, "SIGN_UP_CLOSED".to_owned()));
    let replica = harness.replica().await;
    let login = wire::LogInRequest {
        email: "staff@example.org".to_owned(),
        password: PASSWORD.to_owned(),
        ..Default::default()
    };
    let staff = replica.tokens().log_in(replica.anonymous(login)).await.unwrap().into_inner();
    assert!(staff.scope.split(' ').any(|scope| scope == "staff"));
    harness.me(&staff.access_token).await.unwrap();
    assert_eq!(harness.value("SELECT count(*) FROM accounts").await, "1");
}
