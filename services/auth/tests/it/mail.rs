//! Mail leaves, sooner or later, once.

use std::time::Duration;

use petty_proto::auth::v1 as wire;

use crate::harness::{Harness, PASSWORD};
use crate::mailbox::{all_sent, token};
use crate::smtp::Smtp;

async fn start(smtp: &str) -> Harness {
    let stack = petty_provision::shared().await.unwrap();
    let more = [
        ("PETTY_SMTP_URL", smtp),
        ("PETTY_MAIL_FROM", "Petty <no-reply@petty.example>"),
        ("PETTY_PUBLIC_URL", "https://petty.example"),
    ];
    Harness::start_with(stack, &more).await
}

#[tokio::test]
async fn a_mail_server_that_is_away_neither_holds_up_nor_loses_mail() {
    // An address that nobody listens at, for now.
    let address = Smtp::start("127.0.0.1:0").await.address.to_string();
    let harness = start(&format!("smtp://{address}")).await;
    let replica = harness.replica().await;
    let user = harness.user("ada").await;
    assert!(!harness.me(&user.token).await.unwrap().email_verified);
    for _ in 0..200 {
        if harness.value("SELECT max(attempts) FROM mails").await == "1" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(harness.value("SELECT count(*) FROM mails WHERE sealed IS NOT NULL").await, "1");
    let smtp = {
        let mut tries = 0;
        loop {
            match tokio::net::TcpListener::bind(&address).await {
                Ok(free) => {
                    drop(free);
                    break Smtp::start(&address).await;
                }
                Err(error) => assert!(tries < 100, "{error}"),
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // Not before the pause is over; then once, though two look for it.
    harness.pass(31);
    all_sent(&harness).await;
    let mails = smtp.mails();
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("From: Petty <no-reply@petty.example>"), "{}", mails[0]);
    assert!(mails[0].contains("Auto-Submitted: auto-generated"), "{}", mails[0]);
    assert!(!token(&mails[0]).is_empty());
    drop(replica);
}

#[tokio::test]
async fn many_mails_go_out_once_each_whoever_sends_them_and_a_refused_one_is_given_up() {
    let smtp = Smtp::start("127.0.0.1:0").await;
    let harness = start(&format!("smtp://{}", smtp.address)).await;
    let replica = harness.replica().await;
    for name in ["a", "b", "c", "nobody", "d", "e"] {
        harness.user(name).await;
    }
    all_sent(&harness).await;
    let mails = smtp.mails();
    assert_eq!(mails.len(), 5);
    for name in ["a", "b", "c", "d", "e"] {
        let to = format!("To: {name}@example.org");
        assert_eq!(mails.iter().filter(|mail| mail.contains(&to)).count(), 1, "{name}");
    }
    drop(replica);
}

#[tokio::test]
async fn a_mail_that_expires_unsent_is_not_sent() {
    let address = Smtp::start("127.0.0.1:0").await.address.to_string();
    let harness = start(&format!("smtp://{address}")).await;
    harness.user("ada").await;
    harness.pass(25 * 60 * 60);
    let due = "SELECT count(*) FROM mails WHERE sealed IS NOT NULL AND expires_at > ";
    let now = harness.clock.now();
    assert_eq!(harness.value(&format!("{due} '{now}'")).await, "0");
    let login = wire::LogInRequest {
        email: "ada@example.org".to_owned(),
        password: PASSWORD.to_owned(),
        ..Default::default()
    };
    harness.tokens().log_in(harness.anonymous(login)).await.unwrap();
}
