//! The end of an account: at once, everywhere, and for good.

use std::time::Duration;

use petty_proto::auth::v1 as wire;
use petty_proto::events::v1::{AccountErasing, DataErased, Envelope};
use petty_provision::Stack;
use prost::Message as _;
use tonic::{Code, Status};

use crate::harness::{Harness, PASSWORD, User, fields, refusal};

impl Harness {
    async fn close(&self, token: &str, password: &str) -> Result<wire::CloseAccountResponse, Status> {
        let request = wire::CloseAccountRequest { password: password.to_owned() };
        self.accounts().close_account(self.with(token, request)).await.map(tonic::Response::into_inner)
    }

    /// How many rows of auth's own hold an id, but for those that are to stay.
    async fn rows_of(&self, id: &str) -> Vec<String> {
        let tables = self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").await.unwrap();
        let mut found = Vec::new();
        for table in tables.iter().map(|row| row[0].as_str()) {
            let stays = ["audit_log", "audit_links", "closed_accounts", "deleted_pets"].contains(&table);
            if stays || table.starts_with("event_") {
                continue;
            }
            let sql = format!("SELECT count(*) FROM \"{table}\" t WHERE t::text LIKE '%{id}%'");
            if self.value(&sql).await != "0" {
                found.push(table.to_owned());
            }
        }
        found
    }
}

fn ended() -> (Code, String) {
    (Code::Unauthenticated, "SESSION_ENDED".to_owned())
}

async fn log_in(harness: &Harness, user: &User) -> Result<wire::TokenResponse, Status> {
    let request =
        wire::LogInRequest { email: user.email.clone(), password: PASSWORD.to_owned(), ..Default::default() };
    harness.tokens().log_in(harness.anonymous(request)).await.map(tonic::Response::into_inner)
}

async fn share(harness: &Harness, owner: &User, pet: &wire::Pet, with: &User) {
    let request = wire::CreateShareRequest {
        pet_id: pet.pet_id.clone(),
        email: with.email.clone(),
        role: wire::pet::Role::Viewer.into(),
        ..Default::default()
    };
    harness.pets().create_share(harness.with(&owner.token, request)).await.unwrap();
}

#[tokio::test]
async fn a_token_alone_closes_nothing() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let pet = harness.pet(&ada, "Rex").await;
    assert_eq!(fields(harness.close(&ada.token, "").await), ["password"]);
    let wrong = harness.close(&ada.token, "not the right passphrase").await;
    assert_eq!(refusal(wrong), (Code::PermissionDenied, "PASSWORD_WRONG".to_owned()));
    assert_eq!(harness.me(&ada.token).await.unwrap().email, ada.email);
    harness.check_pet(&ada.token, &pet).await.unwrap();
    let tried = "SELECT actor, outcome FROM audit_log WHERE action = 'CLOSE_ACCOUNT'";
    assert_eq!(harness.rows(tried).await.unwrap(), [[ada.account_id, "REFUSED".to_owned()]]);
    assert_eq!(harness.value("SELECT count(*) FROM event_outbox WHERE topic = 'account.erasing'").await, "0");
}

#[tokio::test]
async fn a_closed_account_is_gone_at_once_with_all_that_is_its_own() {
    let harness = Harness::start().await;
    let replica = harness.replica().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let other = log_in(&harness, &ada).await.unwrap();
    let (rex, tom) = (harness.pet(&ada, "Rex").await, harness.pet(&bob, "Tom").await);
    let secret = harness.pair(&ada, &rex, "collar-1").await.secret;
    let device = harness.device("collar-1", &secret).await.unwrap().access_token;
    share(&harness, &ada, &rex, &bob).await;
    share(&harness, &bob, &tom, &ada).await;
    for (token, pet) in [(&bob.token, &rex), (&ada.token, &tom), (&device, &rex)] {
        replica.check_pet(token, pet).await.unwrap();
    }

    assert!(harness.close(&ada.token, PASSWORD).await.unwrap().success);

    for harness in [&harness, &replica] {
        for token in [&ada.token, &other.access_token, &device] {
            assert_eq!(refusal(harness.check(token, None).await), ended());
        }
        assert_eq!(refusal(harness.me(&ada.token).await), ended());
        for refresh in [&ada.refresh, &other.refresh_token] {
            assert_eq!(refusal(harness.refresh(refresh).await).1, "REFRESH_TOKEN_INVALID");
        }
        assert_eq!(refusal(harness.device("collar-1", &secret).await).0, Code::Unauthenticated);
        assert_eq!(refusal(harness.check_pet(&bob.token, &rex).await).1, "PET_NOT_FOUND");
        assert_eq!(refusal(log_in(harness, &ada).await).1, "BAD_CREDENTIALS");
        harness.check_pet(&bob.token, &tom).await.unwrap();
    }
    // Nothing of it is left but ids, where they are to be left; and so of its pet.
    assert_eq!(harness.rows_of(&ada.account_id).await, Vec::<String>::new());
    assert_eq!(harness.rows_of(&rex.pet_id).await, Vec::<String>::new());
    assert_eq!(harness.value("SELECT count(*) FROM data_keys").await, "1");
    // Everybody is told, and was before it was answered.
    let told = "SELECT topic, count(*), bool_and(sent_at IS NOT NULL) FROM event_outbox
                WHERE topic IN ('access.changed', 'account.erasing', 'pet.erasing') AND shard >= 0 GROUP BY topic ORDER BY topic";
    let told = harness.rows(told).await.unwrap();
    assert_eq!(told[0][2], "t", "{told:?}");
    assert_eq!([&told[1][0], &told[1][1]], ["account.erasing", "1"]);
    assert_eq!([&told[2][0], &told[2][1]], ["pet.erasing", "1"]);
    let payload = "SELECT encode(payload, 'hex') FROM event_outbox WHERE topic = 'account.erasing'";
    let erasing = AccountErasing { account_id: ada.account_id.clone() }.encode_to_vec();
    let hex: String = erasing.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(harness.value(payload).await, hex);
    // Sent again, from either of its sessions, it is the same closing; nothing is told twice.
    for token in [&ada.token, &other.access_token] {
        assert!(replica.close(token, PASSWORD).await.unwrap().success);
    }
    let count = "SELECT count(*) FROM event_outbox WHERE topic = 'account.erasing'";
    assert_eq!(harness.value(count).await, "1");
    let audited = "SELECT count(*) FROM audit_log WHERE action = 'CLOSE_ACCOUNT' AND outcome = 'DONE'";
    assert_eq!(harness.value(audited).await, "1");
    assert_eq!(harness.verdict().await.faults, []);
    // The address is free, and somebody else's from now on.
    let again = harness.user("ada").await;
    assert_ne!(again.account_id, ada.account_id);
    assert_eq!(refusal(harness.me(&ada.token).await), ended());
}

#[tokio::test]
async fn the_last_admin_stays() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let promote = |id: &str| format!("UPDATE accounts SET roles = '{{admin}}' WHERE account_id = '{id}'");
    harness.rows(&promote(&ada.account_id)).await.unwrap();
    let refused = harness.close(&ada.token, PASSWORD).await;
    assert_eq!(refusal(refused), (Code::AlreadyExists, "LAST_ADMIN".to_owned()));
    harness.me(&ada.token).await.unwrap();
    harness.rows(&promote(&bob.account_id)).await.unwrap();
    assert!(harness.close(&ada.token, PASSWORD).await.unwrap().success);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_becomes_an_accounts_own_beside_its_closing() {
    let harness = Harness::start().await;
    for round in 0..4 {
        let ada = harness.user(&format!("ada{round}")).await;
        let bob = harness.user(&format!("bob{round}")).await;
        let (rex, tom) = (harness.pet(&ada, "Rex").await, harness.pet(&bob, "Tom").await);
        let (ada, bob) = (&ada, &bob);
        let pets = (0..4).map(|number| {
            let request = wire::CreatePetRequest {
                name: format!("pet {number}"),
                species: wire::pet::Species::Dog.into(),
                ..Default::default()
            };
            let request = harness.with(&ada.token, request);
            let mut pets = harness.pets();
            async move { drop(pets.create_pet(request).await) }
        });
        let given = wire::CreateShareRequest {
            pet_id: tom.pet_id.clone(),
            email: ada.email.clone(),
            role: wire::pet::Role::Viewer.into(),
            ..Default::default()
        };
        let given = harness.with(&bob.token, given);
        let (mut sharing, harness) = (harness.pets(), &harness);
        let closings = (0..3).map(|_| harness.close(&ada.token, PASSWORD));
        let (closed, ..) = tokio::join!(
            futures::future::join_all(closings),
            futures::future::join_all(pets),
            futures::future::join_all((0..3).map(|_| async { drop(log_in(harness, ada).await) })),
            async { drop(sharing.create_share(given).await) },
            async { drop(harness.try_pair(ada, &rex, &format!("collar-{round}"), None).await) },
        );
        for answer in closed {
            match answer {
                Ok(answer) => assert!(answer.success),
                // Between the look and the closing of another.
                Err(status) => assert_eq!(refusal::<()>(Err(status)), ended()),
            }
        }
        let mut left = harness.rows_of(&ada.account_id).await;
        // A log-in may have been counted before it learned that the account is gone: a keyed hash and the id of nobody, which
        // are forgotten like any count of an address without an account.
        left.retain(|table| table != "throttles");
        assert_eq!(left, Vec::<String>::new());
        harness.check_pet(&bob.token, &tom).await.unwrap();
    }
}

#[tokio::test]
async fn with_redis_away_a_closing_is_pending_and_in_force() {
    let stack = Stack::temporary().await.unwrap();
    let harness = Harness::start_with(&stack, &[]).await;
    let ada = harness.user("ada").await;
    stack.redis().pause();
    let request = wire::CloseAccountRequest { password: PASSWORD.to_owned() };
    let mut request = harness.with(&ada.token, request);
    request.set_timeout(Duration::from_millis(2_500));
    let answer = harness.accounts().close_account(request).await;
    assert_eq!(refusal(answer), (Code::Unavailable, "REVOCATION_PENDING".to_owned()));
    assert_eq!(refusal(harness.me(&ada.token).await), ended());
    stack.redis().resume();
    harness.close(&ada.token, PASSWORD).await.unwrap();
    let pending = "SELECT count(*) FROM event_outbox WHERE topic = 'access.changed' AND sent_at IS NULL";
    assert_eq!(harness.value(pending).await, "0");
}

#[tokio::test]
async fn which_service_has_forgotten_an_account_is_noted() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    harness.close(&ada.token, PASSWORD).await.unwrap();
    let payload = DataErased { pet_id: ada.account_id.clone(), service: "nutrition".to_owned() };
    let envelope = Envelope {
        event_id: petty_chassis::types::EventId::new(&harness.clock).to_string(),
        topic: "data.erased".to_owned(),
        subject: ada.account_id.clone(),
        version: 0,
        time: Some(harness.clock.now().into()),
        schema_version: 1,
        traceparent: String::new(),
        payload: payload.encode_to_vec().into(),
        source: "nutrition".to_owned(),
        shard: 0,
        number: 1,
    };
    let client = redis::Client::open(harness.environment.get("PETTY_EVENTS_REDIS_URL").unwrap()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd("XADD");
    command.arg("petty:data.erased:{0}").arg("*").arg("e").arg(envelope.encode_to_vec());
    command.query_async::<()>(&mut redis).await.unwrap();
    let noted = format!("SELECT count(*) FROM erasures WHERE pet_id = '{}'", ada.account_id);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while harness.value(&noted).await != "1" {
        assert!(tokio::time::Instant::now() < deadline, "it was not noted");
        tokio::task::yield_now().await;
    }
}
