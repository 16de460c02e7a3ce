//! Second factors: codes and recovery codes, each good once.

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use futures::future::join_all;
use petty_proto::auth::v1 as wire;
use tonic::{Code, Status};

use crate::harness::{Harness, PASSWORD, User, credentials, fields, refusal};
use crate::mailbox::{Mailbox, token};
use crate::passphrases;

const HERE: &str = "192.0.2.1";
const OTHER: &str = "quite another long passphrase";

/// Somebody with an authenticator.
struct Owner {
    user: User,
    secret: [u8; 20],
    recovery_codes: Vec<String>,
}

impl Owner {
    /// What the authenticator shows, so many steps from now.
    fn code(&self, harness: &Harness, steps: i64) -> String {
        code(&self.secret, harness, steps)
    }

    async fn log_in(&self, harness: &Harness, otp: &str) -> Result<wire::TokenResponse, Status> {
        self.log_in_by(harness, PASSWORD, otp).await
    }

    async fn log_in_by(
        &self,
        harness: &Harness,
        password: &str,
        otp: &str,
    ) -> Result<wire::TokenResponse, Status> {
        let request =
            wire::LogInRequest { otp: Some(otp.to_owned()), ..credentials(&self.user.email, password) };
        harness.log_in_from(HERE, request).await
    }
}

pub(crate) fn code(secret: &[u8; 20], harness: &Harness, steps: i64) -> String {
    let totp = totp_rs::Builder::new().with_secret(*secret).build().unwrap();
    totp.generate(u64::try_from(harness.clock.now().as_second() + 30 * steps).unwrap()).to_string()
}

/// A code that is none of those that are right now.
pub(crate) fn wrong(secret: &[u8; 20], harness: &Harness) -> String {
    let right: Vec<String> = (-1..=1).map(|steps| code(secret, harness, steps)).collect();
    (0..4).map(|digit| digit.to_string().repeat(6)).find(|code| !right.contains(code)).unwrap()
}

pub(crate) async fn enrol(harness: &Harness, user: &User) -> [u8; 20] {
    let request = wire::EnrolSecondFactorRequest { password: PASSWORD.to_owned() };
    let answer =
        harness.factors().enrol_second_factor(harness.with(&user.token, request)).await.unwrap().into_inner();
    let label = user.email.replace('@', "%40").replace('.', "%2E");
    let uri = format!("otpauth://totp/Petty:{label}?secret={}&issuer=Petty", answer.secret);
    assert!(answer.otpauth_uri.starts_with(&uri), "{}", answer.otpauth_uri);
    data_encoding::BASE32_NOPAD.decode(answer.secret.as_bytes()).unwrap().try_into().unwrap()
}

pub(crate) async fn confirm(harness: &Harness, user: &User, otp: &str) -> Result<Vec<String>, Status> {
    let request = wire::ConfirmSecondFactorRequest { otp: otp.to_owned() };
    let answer = harness.factors().confirm_second_factor(harness.with(&user.token, request)).await?;
    Ok(answer.into_inner().recovery_codes)
}

async fn remove(
    harness: &Harness,
    user: &User,
    password: &str,
    otp: &str,
) -> Result<wire::SecondFactor, Status> {
    let request = wire::RemoveSecondFactorRequest { password: password.to_owned(), otp: otp.to_owned() };
    let answer = harness.factors().remove_second_factor(harness.with(&user.token, request)).await?;
    Ok(answer.into_inner())
}

async fn state(harness: &Harness, user: &User) -> (bool, bool, i32) {
    let request = harness.with(&user.token, wire::GetSecondFactorRequest {});
    let state = harness.factors().get_second_factor(request).await.unwrap().into_inner();
    (state.active, state.confirm_time.is_some(), state.recovery_codes_left)
}

async fn owner(harness: &Harness) -> Owner {
    let user = harness.user("ada").await;
    let secret = enrol(harness, &user).await;
    let recovery_codes = confirm(harness, &user, &code(&secret, harness, 0)).await.unwrap();
    harness.pass(60);
    Owner { user, secret, recovery_codes }
}

fn bad() -> (Code, String) {
    (Code::Unauthenticated, "BAD_CREDENTIALS".to_owned())
}

fn wrong_passphrase() -> (Code, String) {
    (Code::PermissionDenied, "PASSWORD_WRONG".to_owned())
}

fn invalid() -> (Code, String) {
    (Code::PermissionDenied, "OTP_INVALID".to_owned())
}

fn too_many() -> (Code, String) {
    (Code::ResourceExhausted, "TOO_MANY_ATTEMPTS".to_owned())
}

fn locked() -> (Code, String) {
    (Code::ResourceExhausted, "SIGN_IN_LOCKED".to_owned())
}

/// What the audit log says of log-ins, oldest first.
async fn log_ins(harness: &Harness) -> Vec<Vec<String>> {
    let sql = "SELECT outcome, (detail - 'session_id')::text, detail ? 'session_id' FROM audit_log
               WHERE action = 'LOG_IN' ORDER BY id";
    harness.rows(sql).await.unwrap()
}

#[tokio::test]
async fn a_second_factor_counts_once_it_is_confirmed_and_answers_ten_codes_once() {
    let harness = Harness::start().await;
    let user = harness.user("ada").await;
    assert_eq!(state(&harness, &user).await, (false, false, 0));
    let none = (Code::NotFound, "NO_SECOND_FACTOR".to_owned());
    assert_eq!(refusal(confirm(&harness, &user, "123456").await), none);
    assert_eq!(refusal(remove(&harness, &user, PASSWORD, "123456").await), none);

    let request = wire::EnrolSecondFactorRequest { password: "not that passphrase".to_owned() };
    let answer = harness.factors().enrol_second_factor(harness.with(&user.token, request)).await;
    assert_eq!(refusal(answer), wrong_passphrase());
    let replaced = enrol(&harness, &user).await;
    let secret = enrol(&harness, &user).await;
    assert_ne!(replaced, secret);
    assert_eq!(state(&harness, &user).await, (false, false, 0));
    harness.log_in_from(HERE, credentials(&user.email, PASSWORD)).await.unwrap();

    assert_eq!(refusal(confirm(&harness, &user, &code(&replaced, &harness, 0)).await), invalid());
    let codes = confirm(&harness, &user, &code(&secret, &harness, 0)).await.unwrap();
    assert_eq!(codes.len(), 10);
    assert_eq!(state(&harness, &user).await, (true, true, 10));
    let active = (Code::AlreadyExists, "SECOND_FACTOR_ACTIVE".to_owned());
    assert_eq!(refusal(confirm(&harness, &user, &code(&secret, &harness, 1)).await), active);

    // Neither the secret nor a code is kept as it is.
    let text = data_encoding::BASE32_NOPAD.encode(&secret);
    let (text, first) = (data_encoding::HEXLOWER.encode(text.as_bytes()), codes[0].replace('-', ""));
    let first = data_encoding::HEXLOWER.encode(first.as_bytes());
    let raw = data_encoding::HEXLOWER.encode(&secret);
    let plain = format!(
        "SELECT (SELECT count(*) FROM second_factors f WHERE f::text ~ '{text}|{raw}')
              + (SELECT count(*) FROM recovery_codes c WHERE c::text ~ '{first}')"
    );
    assert_eq!(harness.value(&plain).await, "0");
}

#[tokio::test]
async fn a_log_in_needs_the_code_but_only_the_right_passphrase_learns_so() {
    let harness = Harness::start().await;
    let owner = owner(&harness).await;
    let email = &owner.user.email;
    let required = (Code::Unauthenticated, "OTP_REQUIRED".to_owned());
    // Half a log-in is neither a failure nor a success, however often.
    for _ in 0..12 {
        assert_eq!(refusal(harness.log_in_from(HERE, credentials(email, PASSWORD)).await), required);
    }
    let passphrase = harness.log_in_from(HERE, credentials(email, "not that passphrase")).await.unwrap_err();
    let both = wire::LogInRequest {
        otp: Some(owner.code(&harness, 0)),
        ..credentials(email, "not that passphrase")
    };
    let both = harness.log_in_from(HERE, both).await.unwrap_err();
    let factor = owner.log_in(&harness, &wrong(&owner.secret, &harness)).await.unwrap_err();
    for status in [&both, &factor] {
        assert_eq!((status.code(), status.message()), (passphrase.code(), passphrase.message()));
        assert_eq!(status.details(), passphrase.details());
    }
    assert_eq!(refusal::<()>(Err(factor)), bad());
    // The code that came with the wrong passphrase was not used up.
    owner.log_in(&harness, &owner.code(&harness, 0)).await.unwrap();
    assert_eq!(fields(owner.log_in(&harness, "12345").await), ["otp"]);
}

#[tokio::test]
async fn of_ten_uses_of_one_code_at_once_one_succeeds() {
    let harness = Harness::start().await;
    let replica = harness.replica().await;
    let owner = owner(&harness).await;
    for otp in [owner.code(&harness, 0), owner.recovery_codes[3].to_lowercase()] {
        // Of what an authenticator shows five are tried, the rest has to wait.
        let storm = (0..10).map(|turn| owner.log_in(if turn % 2 == 0 { &harness } else { &replica }, &otp));
        let answers = join_all(storm).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        harness.rows("DELETE FROM throttles").await.unwrap();
        assert_eq!(refusal(owner.log_in(&harness, &otp).await), bad());
        harness.rows("DELETE FROM throttles").await.unwrap();
    }
    // Nor is the step before a used one good any more.
    assert_eq!(refusal(owner.log_in(&harness, &owner.code(&harness, -1)).await), bad());
    owner.log_in(&harness, &owner.code(&harness, 1)).await.unwrap();
    assert_eq!(state(&harness, &owner.user).await, (true, true, 9));
    let used = "SELECT count(*) FROM sessions";
    assert_eq!(harness.value(used).await, "4");
}

#[tokio::test]
async fn five_wrong_codes_make_the_next_one_wait_but_not_on_a_known_device() {
    let harness = Harness::start().await;
    let owner = owner(&harness).await;
    let device = owner.log_in(&harness, &owner.code(&harness, 0)).await.unwrap().device_token;
    let wrong = wrong(&owner.secret, &harness);
    for _ in 0..5 {
        assert_eq!(refusal(owner.log_in(&harness, &wrong).await), bad());
    }
    for _ in 0..12 {
        assert_eq!(refusal(owner.log_in(&harness, &owner.code(&harness, 1)).await), too_many());
    }
    let request = wire::LogInRequest {
        otp: Some(owner.code(&harness, 1)),
        device_token: device,
        ..credentials(&owner.user.email, PASSWORD)
    };
    harness.log_in_from(HERE, request).await.unwrap();
    harness.pass(60);
    owner.log_in(&harness, &owner.code(&harness, 0)).await.unwrap();
}

#[tokio::test]
async fn who_is_signed_out_meanwhile_leaves_neither_a_factor_nor_recovery_codes() {
    let harness = Harness::start().await;
    let bob = harness.user("bob").await;
    let secret = enrol(&harness, &bob).await;
    // As a reset does, which holds the account.
    let reset = "UPDATE accounts SET time_zone = time_zone;
                 UPDATE sessions SET ended_at = now(), end_reason = 'PASSWORD_RESET', ended_event = gen_random_uuid()";
    let otp = code(&secret, &harness, 0);
    let answer = passphrases::overtake(&harness, reset, confirm(&harness, &bob, &otp)).await;
    assert_eq!(refusal(answer).1, "SESSION_ENDED");
    assert_eq!(
        harness.value("SELECT count(*) FROM second_factors WHERE confirmed_at IS NOT NULL").await,
        "0"
    );

    let owner = owner(&harness).await;
    let changed =
        "UPDATE accounts SET password_hash = '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAA$AAAAAAAAAAA'";
    let request =
        wire::RenewRecoveryCodesRequest { password: PASSWORD.to_owned(), otp: owner.code(&harness, 0) };
    let (mut client, request) = (harness.factors(), harness.with(&owner.user.token, request));
    let answer = passphrases::overtake(&harness, changed, client.renew_recovery_codes(request)).await;
    assert_eq!(refusal(answer), wrong_passphrase());
}

#[tokio::test]
async fn recovery_codes_are_renewed_and_the_factor_removed_with_both_factors() {
    let harness = Harness::start().await;
    let owner = owner(&harness).await;
    let renew = |password: &str, otp: &str| {
        let request = wire::RenewRecoveryCodesRequest { password: password.to_owned(), otp: otp.to_owned() };
        let (mut client, request) = (harness.factors(), harness.with(&owner.user.token, request));
        async move { client.renew_recovery_codes(request).await.map(|answer| answer.into_inner().recovery_codes) }
    };
    let now = owner.code(&harness, 0);
    assert_eq!(fields(renew("", "").await), ["password", "otp"]);
    assert_eq!(refusal(renew("not that passphrase", &now).await), wrong_passphrase());
    assert_eq!(refusal(renew(PASSWORD, &wrong(&owner.secret, &harness)).await), invalid());
    let codes = renew(PASSWORD, &now).await.unwrap();
    assert_eq!(codes.len(), 10);
    assert_eq!(refusal(renew(PASSWORD, &now).await), invalid());
    assert_eq!(refusal(owner.log_in(&harness, &owner.recovery_codes[0]).await), bad());
    owner.log_in(&harness, &codes[0]).await.unwrap();

    // It is removed with both, and log-ins need it no more.
    assert_eq!(
        refusal(remove(&harness, &owner.user, "not that passphrase", &codes[1]).await),
        wrong_passphrase()
    );
    assert_eq!(refusal(remove(&harness, &owner.user, PASSWORD, &codes[0]).await), invalid());
    assert!(!remove(&harness, &owner.user, PASSWORD, &codes[1]).await.unwrap().active);
    assert_eq!(state(&harness, &owner.user).await, (false, false, 0));
    harness.log_in_from(HERE, credentials(&owner.user.email, PASSWORD)).await.unwrap();
    for (action, outcome, times) in [
        ("ENROL_SECOND_FACTOR", "DONE", "1"),
        ("CONFIRM_SECOND_FACTOR", "DONE", "1"),
        ("RENEW_RECOVERY_CODES", "DONE", "1"),
        ("RENEW_RECOVERY_CODES", "REFUSED", "3"),
        ("REMOVE_SECOND_FACTOR", "DONE", "1"),
        ("REMOVE_SECOND_FACTOR", "REFUSED", "2"),
    ] {
        let noted = format!(
            "SELECT count(*) FROM audit_log WHERE action = '{action}' AND outcome = '{outcome}' AND subject = '{}'",
            owner.user.account_id
        );
        assert_eq!(harness.value(&noted).await, times, "{action} {outcome}");
    }
}

#[tokio::test]
async fn a_short_passphrase_does_not_stay_alone() {
    let harness = Harness::start().await;
    let owner = owner(&harness).await;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let hash = argon2.hash_password_with_salt(b"8 letter", &[7; 16]).unwrap().to_string();
    harness.rows(&format!("UPDATE accounts SET password_hash = '{hash}'")).await.unwrap();
    let answer = remove(&harness, &owner.user, "8 letter", &owner.code(&harness, 0)).await;
    assert_eq!(refusal(answer), (Code::AlreadyExists, "PASSPHRASE_TOO_SHORT".to_owned()));
    assert_eq!(state(&harness, &owner.user).await, (true, true, 10));
}

#[tokio::test]
async fn after_a_hundred_wrong_codes_a_recovery_code_lets_the_owner_in_and_a_reset_alone_does_not() {
    let mailbox = Mailbox::new();
    let harness = crate::credentials::start(&mailbox, "open").await;
    let owner = owner(&harness).await;
    mailbox.mails(1).await;
    let mut tried = 0;
    let refused = loop {
        let refused = refusal(owner.log_in(&harness, &wrong(&owner.secret, &harness)).await);
        if refused != bad() {
            break refused;
        }
        tried += 1;
        harness.pass(15 * 60);
        // Another source each time, and this is not about the address.
        harness.rows("DELETE FROM throttles WHERE kind <> 'second_factor'").await.unwrap();
    };
    assert_eq!((tried, refused), (100, locked()));
    harness.ask_reset(&owner.user.email).await;
    assert!(harness.reset(&token(&mailbox.newest(2).await), OTHER).await.unwrap());
    // Whoever has the mailbox alone does not guess on.
    assert_eq!(refusal(owner.log_in_by(&harness, OTHER, &owner.code(&harness, 0)).await), locked());
    assert_eq!(refusal(owner.log_in_by(&harness, OTHER, &"A".repeat(24)).await), bad());
    assert_eq!(refusal(owner.log_in_by(&harness, OTHER, &owner.code(&harness, 0)).await), locked());
    owner.log_in_by(&harness, OTHER, &owner.recovery_codes[0]).await.unwrap();
    // And all is as before.
    owner.log_in_by(&harness, OTHER, &owner.code(&harness, 0)).await.unwrap();
}

#[tokio::test]
async fn wrong_recovery_codes_of_somebody_signed_in_count_against_their_source_and_a_right_one_passes() {
    let harness = Harness::start().await;
    let owner = owner(&harness).await;
    let remove = |otp: &str| {
        let request = wire::RemoveSecondFactorRequest { password: PASSWORD.to_owned(), otp: otp.to_owned() };
        let mut request = harness.with(&owner.user.token, request);
        request.metadata_mut().insert("x-petty-client-address", HERE.parse().unwrap());
        let mut client = harness.factors();
        async move { client.remove_second_factor(request).await }
    };
    let made_up = "A".repeat(24);
    // More than the codes that an authenticator shows may be wrong.
    for _ in 0..7 {
        assert_eq!(refusal(remove(&made_up).await), invalid());
    }
    let used_up =
        "UPDATE throttles SET next_at = next_at + interval '1 day' WHERE kind = 'source_of_secrets'";
    harness.rows(used_up).await.unwrap();
    assert_eq!(refusal(remove(&made_up).await), too_many());
    remove(&owner.recovery_codes[0]).await.unwrap();
}

#[tokio::test]
async fn another_secret_is_confirmed_whatever_was_wrong_for_the_one_before() {
    let harness = Harness::start().await;
    let user = harness.user("ada").await;
    let before = enrol(&harness, &user).await;
    for _ in 0..5 {
        assert_eq!(refusal(confirm(&harness, &user, &wrong(&before, &harness)).await), invalid());
    }
    assert_eq!(refusal(confirm(&harness, &user, &code(&before, &harness, 0)).await), too_many());
    let secret = enrol(&harness, &user).await;
    confirm(&harness, &user, &code(&secret, &harness, 0)).await.unwrap();
    let noted =
        "SELECT count(*) FROM audit_log WHERE action = 'CONFIRM_SECOND_FACTOR' AND outcome = 'REFUSED'";
    assert_eq!(harness.value(noted).await, "5");
}

#[tokio::test]
async fn the_audit_log_tells_half_a_log_in_and_one_by_a_recovery_code() {
    let harness = Harness::start().await;
    let owner = owner(&harness).await;
    let required = (Code::Unauthenticated, "OTP_REQUIRED".to_owned());
    let half = harness.log_in_from(HERE, credentials(&owner.user.email, PASSWORD)).await;
    assert_eq!(refusal(half), required);
    owner.log_in(&harness, &owner.code(&harness, 0)).await.unwrap();
    owner.log_in(&harness, &owner.recovery_codes[0]).await.unwrap();
    assert_eq!(refusal(owner.log_in(&harness, &owner.recovery_codes[0]).await), bad());
    assert_eq!(
        log_ins(&harness).await,
        [
            ["REFUSED", r#"{"otp": "required"}"#, "f"],
            ["DONE", "{}", "t"],
            ["DONE", r#"{"recovery_code": true}"#, "t"],
            ["REFUSED", "{}", "f"],
        ]
    );
}
