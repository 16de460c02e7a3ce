//! Addresses and passphrases: proving and changing them.

use futures::future::join_all;
use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::credential_service_client::CredentialServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::harness::{Harness, PASSWORD, User, fields, refusal};
use crate::mailbox::{Mailbox, all_sent, token};
use crate::personal;

const OTHER: &str = "quite another long passphrase";

pub(crate) async fn start(mailbox: &Mailbox, mode: &str) -> Harness {
    let stack = petty_provision::shared().await.unwrap();
    let more = [
        ("PETTY_SIGNUP", mode),
        ("PETTY_MAIL_DIR", &mailbox.path()),
        ("PETTY_PUBLIC_URL", "https://petty.example/"),
    ];
    Harness::start_with(stack, &more).await
}

impl Harness {
    pub(crate) fn credentials(&self) -> CredentialServiceClient<Channel> {
        CredentialServiceClient::new(self.channel())
    }

    async fn verify(&self, token: &str, password: &str) -> Result<bool, Status> {
        let request = wire::VerifyEmailRequest { token: token.to_owned(), password: password.to_owned() };
        let answer = self.credentials().verify_email(self.anonymous(request)).await?;
        Ok(answer.into_inner().success)
    }

    async fn verify_from(&self, address: &str, token: &str, password: &str) -> Result<bool, Status> {
        let request = wire::VerifyEmailRequest { token: token.to_owned(), password: password.to_owned() };
        let answer = self.credentials().verify_email(self.from(address, request)).await?;
        Ok(answer.into_inner().success)
    }

    async fn resend(&self, email: &str) {
        let request = wire::ResendVerificationRequest { email: email.to_owned() };
        self.credentials().resend_verification(self.anonymous(request)).await.unwrap();
    }

    pub(crate) async fn ask_reset(&self, email: &str) -> tonic::Response<wire::RequestResetResponse> {
        let request = wire::RequestResetRequest { email: email.to_owned() };
        self.credentials().request_reset(self.anonymous(request)).await.unwrap()
    }

    pub(crate) async fn reset(&self, token: &str, password: &str) -> Result<bool, Status> {
        let request = wire::ConfirmResetRequest { token: token.to_owned(), password: password.to_owned() };
        Ok(self.credentials().confirm_reset(self.anonymous(request)).await?.into_inner().success)
    }

    pub(crate) async fn change_password(
        &self,
        user: &User,
        current: &str,
        new: &str,
    ) -> Result<bool, Status> {
        let request = wire::ChangePasswordRequest {
            current_password: current.to_owned(),
            new_password: new.to_owned(),
        };
        Ok(self.credentials().change_password(self.with(&user.token, request)).await?.into_inner().success)
    }

    async fn change_email(&self, user: &User, email: &str, password: &str) -> Result<(), Status> {
        let request =
            wire::ChangeEmailRequest { email: email.to_owned(), current_password: password.to_owned() };
        self.credentials().change_email(self.with(&user.token, request)).await.map(|_| ())
    }

    async fn sign_in(&self, email: &str, password: &str) -> Result<wire::TokenResponse, Status> {
        let request = wire::LogInRequest {
            email: email.to_owned(),
            password: password.to_owned(),
            ..Default::default()
        };
        self.tokens().log_in(self.anonymous(request)).await.map(tonic::Response::into_inner)
    }

    async fn sign_up(&self, email: &str, password: &str) -> tonic::Response<wire::TokenResponse> {
        let request = wire::SignUpRequest {
            email: email.to_owned(),
            password: password.to_owned(),
            name: Some("Mind my name".to_owned()),
            ..Default::default()
        };
        self.accounts().sign_up(self.anonymous(request)).await.unwrap()
    }
}

fn void() -> (Code, String) {
    (Code::Unauthenticated, "LINK_INVALID".to_owned())
}

fn wrong() -> (Code, String) {
    (Code::Unauthenticated, "BAD_CREDENTIALS".to_owned())
}

#[tokio::test]
async fn an_open_sign_up_is_confirmed_by_whoever_has_both_mailbox_and_passphrase() {
    let mailbox = Mailbox::new();
    let harness = start(&mailbox, "open").await;
    let user = harness.user("ada").await;
    assert!(!harness.me(&user.token).await.unwrap().email_verified);
    let mail = mailbox.newest(1).await;
    let link = token(&mail);
    assert!(mail.contains("To: ada@example.org") && mail.contains("From: Petty <petty@localhost>"), "{mail}");
    assert!(mail.contains(&format!("https://petty.example/account/verify#token={link}")), "{mail}");
    assert_eq!(refusal(harness.verify(&link, OTHER).await), wrong());
    assert_eq!(refusal(harness.verify("no such token", PASSWORD).await), void());
    assert!(!harness.me(&user.token).await.unwrap().email_verified);
    assert!(harness.verify(&link, PASSWORD).await.unwrap());
    assert!(harness.me(&user.token).await.unwrap().email_verified);
    // Once.
    assert_eq!(refusal(harness.verify(&link, PASSWORD).await), void());
    assert_eq!(fields(harness.verify("", "").await), ["token", "password"]);
    // Neither the token nor the address is kept as it is.
    let plain = format!("SELECT count(*) FROM one_time_links WHERE token_hash = '{link}'::bytea");
    assert_eq!(harness.value(&plain).await, "0");
    all_sent(&harness).await;
    let queue = harness.rows("SELECT * FROM mails").await.unwrap();
    assert!(!format!("{queue:?}").contains("ada@"), "{queue:?}");
}

#[tokio::test]
async fn verified_sign_up_answers_alike_and_opens_the_account_by_the_link() {
    let mailbox = Mailbox::new();
    let harness = start(&mailbox, "verified").await;
    let unknown = harness.sign_up("ada@example.org", PASSWORD).await;
    let link = token(&mailbox.newest(1).await);
    assert_eq!(harness.value("SELECT count(*) FROM accounts").await, "0");
    assert_eq!(refusal(harness.sign_in("ada@example.org", PASSWORD).await), wrong());
    assert_eq!(refusal(harness.verify(&link, OTHER).await), wrong());
    assert!(harness.verify(&link, PASSWORD).await.unwrap());
    let signed_in = harness.sign_in("ada@example.org", PASSWORD).await.unwrap();
    let me = harness.me(&signed_in.access_token).await.unwrap();
    assert!(me.email_verified);
    assert_eq!(me.name.as_deref(), Some("Mind my name"));

    let counts = "SELECT (SELECT count(*) FROM one_time_links), (SELECT count(*) FROM mails),
                         (SELECT count(*) FROM audit_log), (SELECT count(*) FROM accounts)";
    let before = harness.rows(counts).await.unwrap();
    let known = harness.sign_up("ADA@example.org", OTHER).await;
    let tried = mailbox.newest(2).await;
    assert!(tried.contains("You already have a Petty account") && !tried.contains("token"), "{tried}");
    assert!(!tried.contains("Mind my name"), "{tried}");
    // Nothing tells the two apart: answer, metadata, and what was written.
    assert_eq!(format!("{:?}", known.get_ref()), format!("{:?}", unknown.get_ref()));
    let shown = |answer: &tonic::Response<wire::TokenResponse>| {
        let mut shown: Vec<String> = answer
            .metadata()
            .keys()
            .filter(|key| !format!("{key:?}").contains("date"))
            .map(|key| format!("{key:?}"))
            .collect();
        shown.sort();
        shown
    };
    assert_eq!(shown(&known), shown(&unknown));
    assert!(known.metadata().get("petty-accepted").is_some());
    let after = harness.rows(counts).await.unwrap();
    let number = |rows: &[Vec<String>], column: usize| rows[0][column].parse::<i64>().unwrap();
    let written: Vec<i64> = (0..4).map(|column| number(&after, column) - number(&before, column)).collect();
    assert_eq!(written, [1, 1, 1, 0]);
    // Nor did it change the account.
    harness.sign_in("ada@example.org", PASSWORD).await.unwrap();
    assert_eq!(refusal(harness.sign_in("ada@example.org", OTHER).await), wrong());
}

#[tokio::test]
async fn links_expire_are_superseded_and_serve_once_of_fifty() {
    let mailbox = Mailbox::new();
    let harness = start(&mailbox, "verified").await;
    harness.sign_up("ada@example.org", PASSWORD).await;
    let first = token(&mailbox.newest(1).await);
    harness.resend("ada@example.org").await;
    let second = token(&mailbox.newest(2).await);
    assert_eq!(refusal(harness.verify(&first, PASSWORD).await), void());
    harness.pass(24 * 60 * 60 + 1);
    assert_eq!(refusal(harness.verify(&second, PASSWORD).await), void());

    harness.sign_up("ada@example.org", PASSWORD).await;
    let third = token(&mailbox.newest(3).await);
    let storm = join_all((0..20).map(|_| harness.verify(&third, PASSWORD))).await;
    assert_eq!(storm.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(harness.value("SELECT count(*) FROM accounts").await, "1");

    harness.ask_reset("ada@example.org").await;
    let expired = token(&mailbox.newest(4).await);
    harness.pass(60 * 60 + 1);
    assert_eq!(refusal(harness.reset(&expired, OTHER).await), void());
    harness.ask_reset("ada@example.org").await;
    let superseded = token(&mailbox.newest(5).await);
    harness.ask_reset("ada@example.org").await;
    let good = token(&mailbox.newest(6).await);
    assert_eq!(refusal(harness.reset(&superseded, OTHER).await), void());
    // A link to reset by confirms nothing.
    assert_eq!(refusal(harness.verify(&good, PASSWORD).await), void());
    let storm = join_all((0..50).map(|_| harness.reset(&good, OTHER))).await;
    assert_eq!(storm.iter().filter(|answer| answer.is_ok()).count(), 1);
    for refused in storm.into_iter().filter(Result::is_err) {
        let (code, reason) = refusal(refused);
        // Each is hashed for: a slow machine does not get to all of them in their time.
        let in_vain = code == Code::DeadlineExceeded || reason == "SIGN_IN_BUSY";
        assert!(code == Code::Unauthenticated || in_vain, "{code:?} {reason}");
    }
    harness.sign_in("ada@example.org", OTHER).await.unwrap();
}

#[tokio::test]
async fn a_reset_is_asked_for_alike_and_ends_every_session() {
    let mailbox = Mailbox::new();
    let harness = start(&mailbox, "open").await;
    let replica = harness.replica().await;
    let user = harness.user("ada").await;
    let other = harness.sign_in("ada@example.org", PASSWORD).await.unwrap();
    mailbox.mails(1).await;
    let counts = "SELECT count(*) FROM mails UNION ALL SELECT count(*) FROM one_time_links
                  UNION ALL SELECT count(*) FROM audit_log";
    let count = async || -> Vec<i64> {
        let rows = harness.rows(counts).await.unwrap();
        rows.iter().map(|row| row[0].parse().unwrap()).collect()
    };
    let before = count().await;
    let unknown = harness.ask_reset("nobody.here@example.org").await;
    let between = count().await;
    let known = harness.ask_reset("ada@example.org").await;
    let after = count().await;
    let grown =
        |from: &[i64], to: &[i64]| -> Vec<i64> { to.iter().zip(from).map(|(to, from)| to - from).collect() };
    assert_eq!(grown(&before, &between), grown(&between, &after));
    assert_eq!(format!("{:?}", known.get_ref()), format!("{:?}", unknown.get_ref()));
    assert_eq!(known.metadata().len(), unknown.metadata().len());

    let link = token(&mailbox.newest(2).await);
    assert_eq!(fields(harness.reset(&link, "short").await), ["password"]);
    assert_eq!(fields(harness.reset(&link, "passwordpassword").await), ["password"]);
    assert_eq!(fields(harness.reset("", "").await), ["token", "password"]);
    assert!(harness.reset(&link, OTHER).await.unwrap());
    for harness in [&harness, &replica] {
        for token in [&user.token, &other.access_token] {
            assert_eq!(refusal(harness.me(token).await).1, "SESSION_ENDED");
        }
        assert_eq!(refusal(harness.refresh(&user.refresh).await).1, "REFRESH_TOKEN_INVALID");
    }
    assert_eq!(refusal(harness.sign_in("ada@example.org", PASSWORD).await), wrong());
    let again = harness.sign_in("ada@example.org", OTHER).await.unwrap();
    // The link went to the address: it is confirmed.
    assert!(harness.me(&again.access_token).await.unwrap().email_verified);
    let notice = mailbox.newest(3).await;
    assert!(notice.contains("Your Petty passphrase was changed"), "{notice}");
    let told = "SELECT count(*) FROM event_outbox WHERE topic = 'access.changed' AND sent_at IS NOT NULL";
    assert_eq!(harness.value(told).await, "2");
}

#[tokio::test]
async fn a_changed_passphrase_ends_the_other_sessions_alone() {
    let mailbox = Mailbox::new();
    let harness = start(&mailbox, "open").await;
    let user = harness.user("ada").await;
    let other = harness.sign_in("ada@example.org", PASSWORD).await.unwrap();
    harness.ask_reset("ada@example.org").await;
    let reset = token(&mailbox.newest(2).await);
    let denied = (Code::PermissionDenied, "PASSWORD_WRONG".to_owned());
    assert_eq!(refusal(harness.change_password(&user, "not that passphrase", OTHER).await), denied);
    assert_eq!(fields(harness.change_password(&user, PASSWORD, "fourteen chars").await), ["new_password"]);
    assert_eq!(fields(harness.change_password(&user, PASSWORD, "ada@example.org").await), ["new_password"]);
    assert_eq!(fields(harness.change_password(&user, "", "").await), ["current_password", "new_password"]);
    // Twice: a second sending is done already.
    for _ in 0..2 {
        assert!(harness.change_password(&user, PASSWORD, OTHER).await.unwrap());
    }
    harness.me(&user.token).await.unwrap();
    assert_eq!(refusal(harness.me(&other.access_token).await).1, "SESSION_ENDED");
    assert_eq!(refusal(harness.sign_in("ada@example.org", PASSWORD).await), wrong());
    harness.sign_in("ada@example.org", OTHER).await.unwrap();
    // What was mailed before is void, and the owner is told.
    assert_eq!(refusal(harness.reset(&reset, "yet another long passphrase").await), void());
    assert!(mailbox.newest(3).await.contains("Your Petty passphrase was changed"));
    let changed = "SELECT count(*) FROM audit_log WHERE action = 'CHANGE_PASSWORD' AND outcome = 'DONE'";
    assert_eq!(harness.value(changed).await, "1");
}

#[tokio::test]
async fn an_address_changes_once_the_new_one_is_confirmed() {
    let mailbox = Mailbox::new();
    let harness = start(&mailbox, "open").await;
    let user = harness.user("ada").await;
    harness.user("bob").await;
    mailbox.mails(2).await;
    let denied = (Code::PermissionDenied, "PASSWORD_WRONG".to_owned());
    assert_eq!(refusal(harness.change_email(&user, "new@example.org", OTHER).await), denied);
    assert_eq!(fields(harness.change_email(&user, "new", "").await), ["email", "current_password"]);
    harness.change_email(&user, "New@example.org", PASSWORD).await.unwrap();
    let mails = mailbox.mails(4).await;
    let new = mails.iter().find(|mail| mail.contains("To: New@example.org")).unwrap();
    let notice = mails.iter().find(|mail| mail.contains("is to get another address")).unwrap();
    assert!(notice.contains("To: ada@example.org") && !notice.contains("New@"), "{notice}");
    assert_eq!(harness.me(&user.token).await.unwrap().email, "ada@example.org");
    // Whoever merely has the mailbox cannot give it to somebody's account.
    assert_eq!(refusal(harness.verify(&token(new), OTHER).await), wrong());
    assert!(harness.verify(&token(new), PASSWORD).await.unwrap());
    let me = harness.me(&user.token).await.unwrap();
    assert_eq!((me.email.as_str(), me.email_verified), ("New@example.org", true));
    harness.sign_in("new@example.org", PASSWORD).await.unwrap();
    assert_eq!(refusal(harness.sign_in("ada@example.org", PASSWORD).await), wrong());
    let changed = mailbox.newest(5).await;
    assert!(changed.contains("To: ada@example.org") && changed.contains("has another address"), "{changed}");

    // An address that is taken is answered alike, and its owner is told.
    harness.change_email(&user, "bob@example.org", PASSWORD).await.unwrap();
    let mails = mailbox.mails(7).await;
    let tried = mails.iter().find(|mail| mail.contains("already has a Petty account")).unwrap();
    assert!(tried.contains("To: bob@example.org") && !tried.contains("token"), "{tried}");
}

#[tokio::test]
async fn an_accounts_passphrase_is_not_guessed_by_its_links_wherever_from() {
    let mailbox = Mailbox::new();
    let harness = start(&mailbox, "open").await;
    let user = harness.user("ada").await;
    let mut link = token(&mailbox.newest(1).await);
    for turn in 0..10 {
        if turn == 5 {
            harness.resend("ada@example.org").await;
            link = token(&mailbox.newest(2).await);
        }
        let guess = harness.verify_from(&format!("203.0.113.{turn}"), &link, OTHER).await;
        assert_eq!(refusal(guess), wrong(), "{turn}");
    }
    let too_many = (Code::ResourceExhausted, "TOO_MANY_ATTEMPTS".to_owned());
    assert_eq!(refusal(harness.verify_from("203.0.113.99", &link, PASSWORD).await), too_many);
    // It is the count of whoever is asked again while they are signed in.
    let asked = harness.change_password(&user, PASSWORD, OTHER).await;
    assert_eq!(refusal(asked), too_many);
    harness.pass(1);
    assert!(harness.verify_from("203.0.113.99", &link, PASSWORD).await.unwrap());
    // A success forgets the failures before it.
    assert_eq!(harness.value("SELECT count(*) FROM throttles WHERE kind = 'confirmation'").await, "0");
}

#[tokio::test]
async fn a_reset_ends_the_accounts_personal_access_tokens_and_a_change_does_not() {
    let mailbox = Mailbox::new();
    let harness = start(&mailbox, "open").await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    mailbox.mails(2).await;
    let made = personal::create(&harness, &ada.token, personal::request(&harness, "read")).await.unwrap();
    let other = personal::create(&harness, &bob.token, personal::request(&harness, "read")).await.unwrap();
    mailbox.mails(4).await;
    assert!(harness.change_password(&ada, PASSWORD, OTHER).await.unwrap());
    mailbox.mails(5).await;
    let access = personal::exchange(&harness, &made.token).await.unwrap().access_token;
    harness.me(&access).await.unwrap();

    harness.ask_reset(&ada.email).await;
    assert!(harness.reset(&token(&mailbox.newest(6).await), PASSWORD).await.unwrap());
    let told = "SELECT count(*) FILTER (WHERE sent_at IS NOT NULL), count(*) FROM event_outbox
                WHERE topic = 'access.changed'";
    assert_eq!(harness.rows(told).await.unwrap(), [["2", "2"]], "of the session and the token");
    let invalid = (Code::Unauthenticated, "TOKEN_INVALID".to_owned());
    assert_eq!(refusal(personal::exchange(&harness, &made.token).await), invalid);
    assert_eq!(refusal(harness.me(&access).await).1, "SESSION_ENDED");
    personal::exchange(&harness, &other.token).await.unwrap();
    let noted = "SELECT detail->>'sessions', detail->>'personal_tokens' FROM audit_log WHERE action = 'RESET_PASSWORD'";
    assert_eq!(harness.rows(noted).await.unwrap(), [["1", "1"]]);
}

#[tokio::test]
async fn nobody_is_flooded() {
    let mailbox = Mailbox::new();
    let harness = start(&mailbox, "verified").await;
    for _ in 0..8 {
        harness.sign_up("ada@example.org", PASSWORD).await;
        harness.ask_reset("ada@example.org").await;
    }
    all_sent(&harness).await;
    let count = harness.value("SELECT count(*) FROM mails").await;
    assert_eq!(count, "5");
    // Another address, and another hour, are other matters.
    harness.sign_up("bob@example.org", PASSWORD).await;
    harness.pass(60 * 60 + 1);
    harness.sign_up("ada@example.org", PASSWORD).await;
    all_sent(&harness).await;
    assert_eq!(harness.value("SELECT count(*) FROM mails").await, "7");
}
