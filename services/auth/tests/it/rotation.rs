//! A collar's secret is replaced while the collar goes on: nothing is refused that should pass, and nothing passes longer.

use petty_proto::auth::v1 as wire;
use tonic::{Code, Status};

use crate::harness::{Harness, User, fields, refusal};

const COLLAR: &str = "SN-1A4B7C-9Z";
const DAY: i64 = 24 * 60 * 60;

struct Scene {
    harness: Harness,
    ada: User,
    pet: wire::Pet,
    /// The secret that pairing showed.
    first: String,
}

impl Scene {
    async fn new() -> Self {
        let harness = Harness::start().await;
        let ada = harness.user("ada").await;
        let pet = harness.pet(&ada, "Rex").await;
        let first = harness.pair(&ada, &pet, COLLAR).await.secret;
        Self { harness, ada, pet, first }
    }

    async fn rotate(&self, overlap_seconds: Option<i32>) -> Result<String, Status> {
        let request = wire::RotateCollarSecretRequest {
            pet_id: self.pet.pet_id.clone(),
            collar_id: COLLAR.to_owned(),
            overlap_seconds,
            request_id: String::new(),
        };
        let request = self.harness.with(&self.ada.token, request);
        let answer = self.harness.pets().rotate_collar_secret(request).await;
        answer.map(|answer| answer.into_inner().secret)
    }

    async fn token(&self, secret: &str) -> Result<String, Status> {
        self.harness.device(COLLAR, secret).await.map(|answer| answer.access_token)
    }

    async fn is_good(&self, token: &str) -> bool {
        match self.harness.check_collar(token, COLLAR).await {
            Ok(answer) => !answer.pairings.is_empty(),
            Err(status) => {
                assert_eq!(refusal(Err::<(), _>(status)).1, "SESSION_ENDED");
                false
            }
        }
    }

    /// Whether a secret gets tokens.
    async fn opens(&self, secret: &str) -> bool {
        match self.token(secret).await {
            Ok(_) => true,
            Err(status) => {
                let refused = (Code::Unauthenticated, "BAD_CREDENTIALS".to_owned());
                assert_eq!(refusal(Err::<(), _>(status)), refused);
                false
            }
        }
    }
}

#[tokio::test]
async fn the_old_secret_and_its_tokens_are_good_for_the_overlap_and_no_longer() {
    let scene = Scene::new().await;
    let before = scene.token(&scene.first).await.unwrap();
    let second = scene.rotate(Some(3_000)).await.unwrap();
    let (meanwhile, new) = (scene.token(&scene.first).await.unwrap(), scene.token(&second).await.unwrap());
    for token in [&before, &meanwhile, &new] {
        assert!(scene.is_good(token).await);
    }
    // No other service may remember it past the end.
    let end = scene.harness.clock.now() + jiff::SignedDuration::from_secs(3_000);
    let answer = scene.harness.check_collar(&before, COLLAR).await.unwrap();
    assert_eq!(answer.expire_time, Some(petty_chassis::types::micros(end).into()));
    assert_eq!(scene.harness.check_collar(&new, COLLAR).await.unwrap().expire_time, None);
    assert_eq!(scene.harness.check(&before, None).await.unwrap().expire_time, answer.expire_time);

    scene.harness.pass(2_999);
    assert!(scene.is_good(&before).await && scene.opens(&scene.first).await);
    scene.harness.pass(1);
    assert!(!scene.is_good(&before).await && !scene.is_good(&meanwhile).await);
    assert!(!scene.opens(&scene.first).await);
    assert!(scene.is_good(&new).await && scene.opens(&second).await);
}

#[tokio::test]
async fn the_overlap_is_a_day_where_nothing_is_said_and_each_secret_keeps_its_own() {
    let mut scene = Scene::new().await;
    let second = scene.rotate(None).await.unwrap();
    scene.harness.pass(DAY - 10);
    scene.ada.token = scene.harness.refresh(&scene.ada.refresh).await.unwrap().access_token;
    let third = scene.rotate(Some(60)).await.unwrap();
    assert!(scene.opens(&scene.first).await && scene.opens(&second).await && scene.opens(&third).await);
    scene.harness.pass(10);
    assert!(!scene.opens(&scene.first).await);
    assert!(scene.opens(&second).await && scene.opens(&third).await);
    scene.harness.pass(50);
    assert!(!scene.opens(&second).await);
    assert!(scene.opens(&third).await);
}

#[tokio::test]
async fn what_leaked_ends_at_once_with_all_secrets_before_it() {
    let scene = Scene::new().await;
    let first = scene.token(&scene.first).await.unwrap();
    let second = scene.rotate(None).await.unwrap();
    let old = scene.token(&second).await.unwrap();
    let third = scene.rotate(Some(0)).await.unwrap();
    assert!(!scene.is_good(&first).await && !scene.is_good(&old).await);
    assert!(!scene.opens(&scene.first).await && !scene.opens(&second).await && scene.opens(&third).await);
    // Each credential was told of, and the answer came after that.
    let told = "SELECT count(*) FROM event_outbox WHERE topic = 'access.changed' AND sent_at IS NULL";
    assert_eq!(scene.harness.value(told).await, "0");
    assert_eq!(scene.harness.value("SELECT count(*) FROM replaced_secrets").await, "0");
}

#[tokio::test]
async fn unpairing_moving_and_removing_end_the_overlap_at_once() {
    for how in ["unpair", "move", "delete"] {
        let scene = Scene::new().await;
        let first = scene.token(&scene.first).await.unwrap();
        let second = scene.token(&scene.rotate(None).await.unwrap()).await.unwrap();
        assert!(scene.is_good(&first).await && scene.is_good(&second).await);
        scene.harness.pass(60);
        let (harness, pet_id) = (&scene.harness, scene.pet.pet_id.clone());
        match how {
            "unpair" => {
                let request =
                    wire::UnpairCollarRequest { pet_id, collar_id: COLLAR.to_owned(), end_time: None };
                harness.pets().unpair_collar(harness.with(&scene.ada.token, request)).await.unwrap();
            }
            "move" => {
                let other = harness.pet(&scene.ada, "Tom").await;
                harness.pair(&scene.ada, &other, COLLAR).await;
            }
            _ => {
                let request = wire::DeletePetRequest { pet_id };
                harness.pets().delete_pet(harness.with(&scene.ada.token, request)).await.unwrap();
            }
        }
        assert!(!scene.is_good(&first).await && !scene.is_good(&second).await, "{how}");
        assert!(!scene.opens(&scene.first).await, "{how}");
    }
}

#[tokio::test]
async fn while_secrets_are_replaced_at_once_no_collar_is_refused() {
    let scene = Scene::new().await;
    let token = scene.token(&scene.first).await.unwrap();
    let rotations = futures::future::join_all((0..8).map(|_| scene.rotate(Some(600))));
    let uses = futures::future::join_all((0..40).map(|_| async {
        assert!(scene.is_good(&token).await);
        assert!(scene.opens(&scene.first).await);
    }));
    let (secrets, _) = tokio::join!(rotations, uses);
    for secret in secrets {
        assert!(scene.opens(&secret.unwrap()).await);
    }
}

#[tokio::test]
async fn an_overlap_has_its_bounds() {
    let scene = Scene::new().await;
    for overlap in [-1, 7 * 86_400 + 1] {
        assert_eq!(fields(scene.rotate(Some(overlap)).await), ["overlap_seconds"]);
    }
    scene.rotate(Some(7 * 86_400)).await.unwrap();
    let kept = format!("SELECT secret_hash = sha256('{}'::bytea) FROM replaced_secrets", scene.first);
    assert_eq!(scene.harness.value(&kept).await, "t", "not the secret itself");
}
