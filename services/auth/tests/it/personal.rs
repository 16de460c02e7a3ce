//! Personal access tokens.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::micros;
use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::staff_member::Role;
use tonic::{Code, Status};

use crate::harness::{Harness, PASSWORD, User, fields, refusal};
use crate::mailbox::Mailbox;
use crate::{credentials, passphrases, second_factor, staff};

const DAY: i64 = 24 * 60 * 60;

pub(crate) fn request(harness: &Harness, scope: &str) -> wire::CreatePersonalTokenRequest {
    let end = harness.clock.now() + SignedDuration::from_secs(30 * DAY);
    wire::CreatePersonalTokenRequest {
        name: "clinic".to_owned(),
        scope: scope.to_owned(),
        expire_time: Some(end.into()),
        password: PASSWORD.to_owned(),
        ..Default::default()
    }
}

/// Adds so many tokens that nobody has, of the seconds before now, the newest first.
async fn add(harness: &Harness, user: &User, count: i32) {
    let now = harness.clock.now();
    let sql = format!(
        "INSERT INTO personal_tokens (token_id, account_id, token_hash, name, scope, created_at, expires_at)
         SELECT gen_random_uuid(), '{}', sha256(n::text::bytea), 'no. ' || n, 'pets:read',
                timestamptz '{now}' - make_interval(secs => n), timestamptz '{now}' + interval '1 day'
         FROM generate_series(1, {count}) n",
        user.account_id
    );
    harness.rows(&sql).await.unwrap();
}

pub(crate) async fn create(
    harness: &Harness,
    token: &str,
    request: wire::CreatePersonalTokenRequest,
) -> Result<wire::CreatePersonalTokenResponse, Status> {
    let answer = harness.personal().create_personal_token(harness.with(token, request)).await;
    answer.map(tonic::Response::into_inner)
}

pub(crate) async fn exchange(
    harness: &Harness,
    token: &str,
) -> Result<wire::ExchangePersonalTokenResponse, Status> {
    let request = wire::ExchangePersonalTokenRequest { token: token.to_owned() };
    let answer = harness.personal().exchange_personal_token(harness.anonymous(request)).await;
    answer.map(tonic::Response::into_inner)
}

async fn list(harness: &Harness, token: &str) -> Result<Vec<wire::PersonalToken>, Status> {
    let request = wire::ListPersonalTokensRequest::default();
    let answer = harness.personal().list_personal_tokens(harness.with(token, request)).await;
    answer.map(|answer| answer.into_inner().personal_tokens)
}

async fn delete(harness: &Harness, user: &User, token_id: &str) -> Result<bool, Status> {
    let request = wire::DeletePersonalTokenRequest { token_id: token_id.to_owned() };
    let answer = harness.personal().delete_personal_token(harness.with(&user.token, request)).await;
    answer.map(|answer| answer.into_inner().success)
}

fn invalid() -> (Code, String) {
    (Code::Unauthenticated, "TOKEN_INVALID".to_owned())
}

#[tokio::test]
async fn a_token_is_shown_once_kept_hashed_and_stands_for_its_account() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let pet = harness.pet(&ada, "Rex").await;
    let mut wanted = request(&harness, "read");
    wanted.request_id = "key-1".to_owned();
    let made = create(&harness, &ada.token, wanted.clone()).await.unwrap();
    let shown = (Code::AlreadyExists, "SECRET_ALREADY_SHOWN".to_owned());
    assert_eq!(refusal(create(&harness, &ada.token, wanted).await), shown);
    assert!(petty_chassis::caller::personal::is_well_formed(&made.token), "{}", made.token.len());

    let listed = list(&harness, &ada.token).await.unwrap();
    assert_eq!(listed, [made.personal_token.clone().unwrap()]);
    assert_eq!((listed[0].name.as_str(), listed[0].scope.as_str()), ("clinic", "pets:read"));
    assert_eq!(listed[0].last_use_time, None);
    let kept = format!("SELECT token_hash = sha256('{}'::bytea) FROM personal_tokens", made.token);
    assert_eq!(harness.value(&kept).await, "t");

    let access = exchange(&harness, &made.token).await.unwrap().access_token;
    assert_eq!(harness.me(&access).await.unwrap().account_id, ada.account_id);
    assert_eq!(harness.check_pet(&access, &pet).await.unwrap().role(), wire::pet::Role::Owner);
    let other = harness.user("bob").await;
    let theirs = harness.pet(&other, "Tom").await;
    assert_eq!(refusal(harness.check_pet(&access, &theirs).await).1, "PET_NOT_FOUND");
    assert!(list(&harness, &other.token).await.unwrap().is_empty());
}

#[tokio::test]
async fn its_last_use_is_known_to_the_minute_and_written_once_a_minute() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let made = create(&harness, &ada.token, request(&harness, "read")).await.unwrap();
    let used = async || -> Timestamp {
        let listed = list(&harness, &ada.token).await.unwrap();
        listed[0].last_use_time.unwrap().try_into().unwrap()
    };
    let now = harness.clock.now();
    exchange(&harness, &made.token).await.unwrap();
    let first = used().await;
    assert_eq!(first.as_second(), now.as_second().div_euclid(60) * 60);
    let row = harness.value("SELECT xmin FROM personal_tokens").await;
    exchange(&harness, &made.token).await.unwrap();
    assert_eq!(harness.value("SELECT xmin FROM personal_tokens").await, row, "nothing is written again");
    harness.pass(60);
    exchange(&harness, &made.token).await.unwrap();
    assert_eq!(used().await, first + SignedDuration::from_secs(60));
}

#[tokio::test]
async fn it_may_no_more_than_its_scopes_and_nothing_about_the_account() {
    let (harness, admin) = staff::with_admin().await;
    let pet = harness.pet(&admin, "Rex").await;
    // An admin's token is never for staff.
    assert_eq!(fields(create(&harness, &admin.token, request(&harness, "pets:read staff")).await), ["scope"]);
    let made = create(&harness, &admin.token, request(&harness, "read write")).await.unwrap();
    let access = exchange(&harness, &made.token).await.unwrap().access_token;
    let refused = (Code::PermissionDenied, "PERSONAL_TOKEN_NOT_ALLOWED".to_owned());
    assert_eq!(refusal(create(&harness, &access, request(&harness, "read")).await), refused);
    assert_eq!(refusal(list(&harness, &access).await), refused);
    let by = User { token: access.clone(), ..admin.clone() };
    let token_id = made.personal_token.unwrap().token_id;
    assert_eq!(refusal(delete(&harness, &by, &token_id).await), refused);
    assert_eq!(refusal(staff::grant(&harness, &by, &admin.account_id, Role::Support).await), refused);
    let ticket = harness.with(&access, wire::IssueStreamTicketRequest {});
    assert_eq!(refusal(harness.tokens().issue_stream_ticket(ticket).await), refused);
    let log_out = harness.with(&access, wire::LogOutRequest {});
    assert_eq!(refusal(harness.tokens().log_out(log_out).await), refused);
    // Neither may it make credentials that would outlive it.
    assert_eq!(refusal(harness.try_pair(&by, &pet, "collar-1", None).await), refused);
    let share = wire::CreateShareRequest { pet_id: pet.pet_id.clone(), ..Default::default() };
    assert_eq!(refusal(harness.pets().create_share(harness.with(&access, share)).await), refused);

    let reader = create(&harness, &admin.token, request(&harness, "read")).await.unwrap();
    let reader = exchange(&harness, &reader.token).await.unwrap().access_token;
    let change = wire::UpdatePetRequest {
        pet_id: pet.pet_id.clone(),
        name: Some("Max".to_owned()),
        ..Default::default()
    };
    let by_reader = harness.pets().update_pet(harness.with(&reader, change.clone())).await;
    assert_eq!(refusal(by_reader), (Code::PermissionDenied, "SCOPE_MISSING".to_owned()));
    harness.pets().update_pet(harness.with(&access, change)).await.unwrap();
}

#[tokio::test]
async fn an_ended_token_is_refused_at_once_and_its_access_tokens_too() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let made = create(&harness, &ada.token, request(&harness, "read")).await.unwrap();
    let access = exchange(&harness, &made.token).await.unwrap().access_token;
    harness.me(&access).await.unwrap();
    let token_id = made.personal_token.unwrap().token_id;
    let not_theirs = (Code::NotFound, "TOKEN_NOT_FOUND".to_owned());
    assert_eq!(refusal(delete(&harness, &bob, &token_id).await), not_theirs);
    assert_eq!(fields(delete(&harness, &ada, "mine").await), ["token_id"]);
    for _ in 0..2 {
        assert!(delete(&harness, &ada, &token_id).await.unwrap());
    }
    let told = "SELECT count(*) FILTER (WHERE sent_at IS NOT NULL), count(*) FROM event_outbox
                WHERE topic = 'access.changed'";
    assert_eq!(harness.rows(told).await.unwrap(), [["1", "1"]], "told once, before it was answered");
    let ended = (Code::Unauthenticated, "SESSION_ENDED".to_owned());
    assert_eq!(refusal(harness.me(&access).await), ended);
    assert_eq!(refusal(exchange(&harness, &made.token).await), invalid());
    assert!(list(&harness, &ada.token).await.unwrap().is_empty());
    harness.me(&ada.token).await.unwrap();
}

#[tokio::test]
async fn a_token_ends_by_itself_and_so_do_decisions_about_it() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let end = micros(harness.clock.now() + SignedDuration::from_secs(100));
    let wanted =
        wire::CreatePersonalTokenRequest { expire_time: Some(end.into()), ..request(&harness, "read") };
    let made = create(&harness, &ada.token, wanted).await.unwrap();
    let exchanged = exchange(&harness, &made.token).await.unwrap();
    assert!(exchanged.expires_in <= 100, "no access token outlives it");
    let decided = harness.check(&exchanged.access_token, None).await.unwrap();
    assert_eq!(decided.expire_time, Some(end.into()));
    harness.pass(100);
    assert_eq!(refusal(exchange(&harness, &made.token).await), invalid());
    assert_eq!(refusal(harness.check(&exchanged.access_token, None).await).1, "SESSION_ENDED");
}

#[tokio::test]
async fn whatever_is_no_token_is_refused_alike() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let made = create(&harness, &ada.token, request(&harness, "read")).await.unwrap().token;
    let unknown = petty_chassis::caller::personal::generate(petty_chassis::types::Entropy);
    let unknown = secrecy::ExposeSecret::expose_secret(&unknown).to_owned();
    let twisted = made.to_uppercase();
    let long = "x".repeat(100_000);
    let answers = [
        exchange(&harness, &unknown).await,
        exchange(&harness, "").await,
        exchange(&harness, &twisted).await,
        exchange(&harness, &long).await,
        exchange(&harness, &made[..made.len() - 1]).await,
        exchange(&harness, &ada.token).await,
    ];
    for answer in answers {
        assert_eq!(refusal(answer), invalid());
    }
    // And it is no access token: nobody but the gateway exchanges it.
    assert_eq!(refusal(harness.me(&made).await), invalid());
    let by_ingest = harness.by("ingest", wire::ExchangePersonalTokenRequest { token: made });
    let refused = harness.personal().exchange_personal_token(by_ingest).await;
    assert_eq!(refusal(refused), (Code::PermissionDenied, "SERVICE_NOT_ALLOWED".to_owned()));
}

#[tokio::test]
async fn bad_tokens_name_their_fields_and_an_account_has_fifty_at_most() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let good = request(&harness, "read");
    let late = harness.clock.now() + SignedDuration::from_secs(367 * DAY);
    for (bad, field) in [
        (wire::CreatePersonalTokenRequest { name: " ".to_owned(), ..good.clone() }, "name"),
        (wire::CreatePersonalTokenRequest { name: "n".repeat(101), ..good.clone() }, "name"),
        (wire::CreatePersonalTokenRequest { scope: "everything".to_owned(), ..good.clone() }, "scope"),
        (wire::CreatePersonalTokenRequest { scope: String::new(), ..good.clone() }, "scope"),
        (wire::CreatePersonalTokenRequest { expire_time: None, ..good.clone() }, "expire_time"),
        (wire::CreatePersonalTokenRequest { expire_time: Some(late.into()), ..good.clone() }, "expire_time"),
        (wire::CreatePersonalTokenRequest { password: String::new(), ..good.clone() }, "password"),
        (wire::CreatePersonalTokenRequest { password: "p".repeat(257), ..good.clone() }, "password"),
        (wire::CreatePersonalTokenRequest { otp: Some("12345".to_owned()), ..good.clone() }, "otp"),
    ] {
        assert_eq!(fields(create(&harness, &ada.token, bad).await), [field]);
    }
    assert_eq!(harness.value("SELECT count(*) FROM personal_tokens").await, "0");
    add(&harness, &ada, 47).await;
    create(&harness, &ada.token, good.clone()).await.unwrap();
    // At once, too.
    let many = (0..5).map(|_| create(&harness, &ada.token, good.clone()));
    let answers = futures::future::join_all(many).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
    let refused = answers.into_iter().find(Result::is_err).unwrap();
    assert_eq!(refusal(refused), (Code::ResourceExhausted, "TOO_MANY_TOKENS".to_owned()));
}

#[tokio::test]
async fn a_session_that_a_reset_ends_meanwhile_makes_no_token() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    // As a reset does, which holds the account and sees no token yet.
    let sql = "UPDATE accounts SET time_zone = time_zone;
               UPDATE sessions SET ended_at = now(), end_reason = 'PASSWORD_RESET', ended_event = gen_random_uuid()";
    let making = create(&harness, &ada.token, request(&harness, "read"));
    let answer = passphrases::overtake(&harness, sql, making).await;
    assert_eq!(refusal(answer).1, "SESSION_ENDED");
    assert_eq!(harness.value("SELECT count(*) FROM personal_tokens").await, "0");
}

#[tokio::test]
async fn making_one_asks_for_the_passphrase_again_and_its_owner_is_written_to() {
    let mailbox = Mailbox::new();
    let harness = credentials::start(&mailbox, "open").await;
    let ada = harness.user("ada").await;
    mailbox.mails(1).await;
    let guess = wire::CreatePersonalTokenRequest {
        password: "not that passphrase".to_owned(),
        request_id: "key-1".to_owned(),
        ..request(&harness, "read")
    };
    let wrong = (Code::PermissionDenied, "PASSWORD_WRONG".to_owned());
    assert_eq!(refusal(create(&harness, &ada.token, guess.clone()).await), wrong);
    // What was refused has not taken its key.
    let right = wire::CreatePersonalTokenRequest { password: PASSWORD.to_owned(), ..guess.clone() };
    create(&harness, &ada.token, right).await.unwrap();
    let noted = "SELECT action, outcome FROM audit_log WHERE action = 'CREATE_PERSONAL_TOKEN' ORDER BY id";
    let expected = [["CREATE_PERSONAL_TOKEN", "REFUSED"], ["CREATE_PERSONAL_TOKEN", "DONE"]];
    assert_eq!(harness.rows(noted).await.unwrap(), expected);

    let letter = mailbox.newest(2).await;
    assert!(letter.contains("To: ada@example.org"), "{letter}");
    assert!(letter.contains("Subject: Your Petty account has a new access token"), "{letter}");
    assert!(!letter.contains("petty_pat_") && !letter.contains("clinic"), "{letter}");

    // Nobody guesses on with a token that they stole.
    for _ in 0..10 {
        assert_eq!(refusal(create(&harness, &ada.token, guess.clone()).await), wrong);
    }
    let slowed = (Code::ResourceExhausted, "TOO_MANY_ATTEMPTS".to_owned());
    assert_eq!(refusal(create(&harness, &ada.token, request(&harness, "read")).await), slowed);
    assert_eq!(harness.value("SELECT count(*) FROM personal_tokens").await, "1");
    assert_eq!(mailbox.count(), 2, "what was not made is not told");
}

#[tokio::test]
async fn making_one_asks_for_the_second_factor_where_there_is_one() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let secret = second_factor::enrol(&harness, &ada).await;
    let code = |steps: i64| Some(second_factor::code(&secret, &harness, steps));
    let recovery = second_factor::confirm(&harness, &ada, &code(-1).unwrap()).await.unwrap().pop();
    let with = |otp: Option<String>| wire::CreatePersonalTokenRequest {
        otp,
        request_id: "key-1".to_owned(),
        ..request(&harness, "read")
    };
    assert_eq!(fields(create(&harness, &ada.token, with(None)).await), ["otp"]);
    let invalid = (Code::PermissionDenied, "OTP_INVALID".to_owned());
    let wrong = second_factor::wrong(&secret, &harness);
    assert_eq!(refusal(create(&harness, &ada.token, with(Some(wrong))).await), invalid);
    assert_eq!(harness.value("SELECT count(*) FROM personal_tokens").await, "0");

    create(&harness, &ada.token, with(code(0))).await.unwrap();
    // Sent again, with the code that is used up or another one: the same, and no attempt is used up.
    let shown = (Code::AlreadyExists, "SECRET_ALREADY_SHOWN".to_owned());
    for otp in [code(0), code(1), None] {
        assert_eq!(refusal(create(&harness, &ada.token, with(otp)).await), shown);
    }
    let next = |otp| wire::CreatePersonalTokenRequest { request_id: String::new(), ..with(otp) };
    assert_eq!(refusal(create(&harness, &ada.token, next(code(0))).await), invalid);
    create(&harness, &ada.token, next(code(1))).await.unwrap();
    create(&harness, &ada.token, next(recovery.clone())).await.unwrap();
    assert_eq!(refusal(create(&harness, &ada.token, next(recovery)).await), invalid);
    // Where there is none, a code is of no account.
    let bob = harness.user("bob").await;
    create(&harness, &bob.token, next(Some("123456".to_owned()))).await.unwrap();
}

#[tokio::test]
async fn a_passphrase_that_was_changed_meanwhile_makes_no_token() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let sql = "UPDATE accounts SET password_hash = '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAA$AAAAAAAAAAA'";
    let making = create(&harness, &ada.token, request(&harness, "read"));
    let answer = passphrases::overtake(&harness, sql, making).await;
    assert_eq!(refusal(answer), (Code::PermissionDenied, "PASSWORD_WRONG".to_owned()));
    assert_eq!(harness.value("SELECT count(*) FROM personal_tokens").await, "0");
}

#[tokio::test]
async fn tokens_are_listed_by_pages() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    add(&harness, &ada, 5).await;
    let page = async |page_size: i32, page_token: &str| {
        let request = wire::ListPersonalTokensRequest { page_size, page_token: page_token.to_owned() };
        let answer = harness.personal().list_personal_tokens(harness.with(&ada.token, request)).await;
        answer.map(tonic::Response::into_inner)
    };
    let (mut names, mut next) = (Vec::new(), String::new());
    for expected in [2, 2, 1] {
        let answer = page(2, &next).await.unwrap();
        assert_eq!(answer.personal_tokens.len(), expected);
        names.extend(answer.personal_tokens.into_iter().map(|token| token.name));
        next = answer.next_page_token;
    }
    assert_eq!((names, next.as_str()), ((1..=5).map(|number| format!("no. {number}")).collect(), ""));
    assert_eq!(fields(page(-1, "").await), ["page_size"]);
    assert_eq!(fields(page(1, "next").await), ["page_token"]);
}
