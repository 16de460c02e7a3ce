//! How passphrases are kept.

use std::time::Duration;

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use petty_proto::auth::v1 as wire;
use secrecy::ExposeSecret as _;
use tonic::{Code, Status};

use crate::harness::{Harness, PASSWORD, User, fields, refusal};
use crate::mailbox::{Mailbox, token};
use crate::second_factor;

const TODAY: &str = "$argon2id$v=19$m=19456,t=2,p=1$";
/// Enough beside a second factor, and not alone.
const SHORT: &str = "vK3#qz9!tW";
const HASH: &str = "SELECT password_hash FROM accounts";

async fn log_in(harness: &Harness, password: &str) -> Result<wire::TokenResponse, Status> {
    let request = wire::LogInRequest {
        email: "ada@example.org".to_owned(),
        password: password.to_owned(),
        ..Default::default()
    };
    harness.tokens().log_in(harness.anonymous(request)).await.map(tonic::Response::into_inner)
}

fn weak(passphrase: &str) -> String {
    let parameters = Params::new(8 * 1024, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    argon2.hash_password_with_salt(passphrase.as_bytes(), &[7; 16]).unwrap().to_string()
}

async fn keep(harness: &Harness, hash: &str) {
    harness.rows(&format!("UPDATE accounts SET password_hash = '{hash}'")).await.unwrap();
}

#[tokio::test]
async fn weaker_hashes_are_made_anew_on_the_next_right_passphrase() {
    let harness = Harness::start().await;
    harness.user("ada").await;
    let weak = weak(PASSWORD);
    keep(&harness, &weak).await;
    let wrong = refusal(log_in(&harness, "not that passphrase").await);
    assert_eq!(wrong, (Code::Unauthenticated, "BAD_CREDENTIALS".to_owned()));
    assert_eq!(harness.value(HASH).await, weak);

    log_in(&harness, PASSWORD).await.unwrap();
    let stronger = harness.value(HASH).await;
    assert!(stronger.starts_with(TODAY), "{stronger}");
    log_in(&harness, PASSWORD).await.unwrap();
    assert_eq!(harness.value(HASH).await, stronger);
}

/// Logs in with a passphrase whose weak hash is replaced by another just before the session would open.
async fn overtaken(harness: &Harness, by: &str) -> Result<wire::TokenResponse, Status> {
    harness.user("ada").await;
    keep(harness, &weak(PASSWORD)).await;
    let change = format!("UPDATE accounts SET password_hash = '{by}'");
    overtake(harness, &change, log_in(harness, PASSWORD)).await
}

/// Asks for something, and has it wait for a row that a change has locked, which is committed only then.
pub(crate) async fn overtake<T>(harness: &Harness, change: &str, asking: impl Future<Output = T>) -> T {
    let url = harness.database.runtime_url.expose_secret();
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let (may_ask, asked) = tokio::sync::oneshot::channel();
    let change = async {
        client.batch_execute(&format!("BEGIN; {change}")).await.unwrap();
        may_ask.send(()).unwrap();
        // What is asked has looked at what there was, and waits for the row.
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while harness.value(waiting).await == "0" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        client.batch_execute("COMMIT").await.unwrap();
        drop(client);
    };
    let asking = async {
        asked.await.unwrap();
        asking.await
    };
    let (answer, (), _) = tokio::join!(asking, change, connection);
    answer
}

#[tokio::test]
async fn a_passphrase_changed_meanwhile_lets_nobody_in_who_knew_the_old_one() {
    let harness = Harness::start().await;
    let changed = weak("some other passphrase");
    let refused = refusal(overtaken(&harness, &changed).await);
    assert_eq!(refused, (Code::Unauthenticated, "BAD_CREDENTIALS".to_owned()));
    assert_eq!(harness.value(HASH).await, changed, "it is not changed back");
    assert_eq!(harness.value("SELECT count(*) FROM sessions").await, "1", "the one of the sign-up");
}

#[tokio::test]
async fn a_hash_made_anew_meanwhile_keeps_nobody_out() {
    let harness = Harness::start().await;
    let parameters = Params::new(8 * 1024, 2, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    let anew = argon2.hash_password_with_salt(PASSWORD.as_bytes(), &[9; 16]).unwrap().to_string();
    overtaken(&harness, &anew).await.unwrap();
    let kept = harness.value(HASH).await;
    assert!(kept.starts_with(TODAY), "{kept}");
}

async fn add_factor(harness: &Harness, user: &User) {
    let secret = second_factor::enrol(harness, user).await;
    second_factor::confirm(harness, user, &second_factor::code(&secret, harness, 0)).await.unwrap();
}

#[tokio::test]
async fn a_short_passphrase_is_not_chosen_beside_a_factor_that_is_removed_meanwhile() {
    let mailbox = Mailbox::new();
    let harness = crate::credentials::start(&mailbox, "open").await;
    let user = harness.user("ada").await;
    add_factor(&harness, &user).await;
    harness.ask_reset(&user.email).await;
    let link = token(&mailbox.newest(2).await);
    let kept = harness.value(HASH).await;
    // As its removal does.
    let removal = "SELECT FROM accounts FOR UPDATE; DELETE FROM second_factors";
    let changing = harness.change_password(&user, PASSWORD, SHORT);
    assert_eq!(fields(overtake(&harness, removal, changing).await), ["new_password"]);
    assert_eq!(harness.value(HASH).await, kept);

    // So with a reset.
    add_factor(&harness, &user).await;
    assert_eq!(fields(overtake(&harness, removal, harness.reset(&link, SHORT)).await), ["password"]);
    assert_eq!(harness.value(HASH).await, kept);
    // The link is good still; and beside a factor that stays, a short one is enough.
    add_factor(&harness, &user).await;
    assert!(harness.reset(&link, SHORT).await.unwrap());
}
