//! Staff looks at somebody's pet: for a reason, which is written down before anything is seen.

use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::check_access_request::Resource;
use petty_proto::auth::v1::pet::Role;
use petty_proto::auth::v1::staff_member::Role as PlatformRole;
use tonic::{Code, Status};

use crate::harness::{Harness, User, fields, refusal};
use crate::staff::{grant, log_in, with_admin, withdraw};

const REASON: &str = "ticket 4711: Ada says that no positions arrive";
const COLLAR: &str = "SN-1A4B7C-9Z";

struct Scene {
    harness: Harness,
    admin: User,
    support: User,
    ada: User,
    pet: wire::Pet,
}

impl Scene {
    async fn new() -> Self {
        let (harness, admin) = with_admin().await;
        let support = harness.user("sue").await;
        grant(&harness, &admin, &support.account_id, PlatformRole::Support).await.unwrap();
        let support = log_in(&harness, &support.email).await;
        let ada = harness.user("ada").await;
        let pet = harness.pet(&ada, "Rex").await;
        Self { harness, admin, support, ada, pet }
    }

    fn request<M>(&self, token: &str, reason: Option<&str>, message: M) -> tonic::Request<M> {
        let mut request = self.harness.with(token, message);
        if let Some(reason) = reason {
            request.metadata_mut().insert("x-petty-access-reason", reason.parse().unwrap());
        }
        request
    }

    /// What another service is told of the pet.
    async fn check(&self, token: &str, reason: Option<&str>) -> Result<wire::CheckAccessResponse, Status> {
        let resource = Some(Resource::PetId(self.pet.pet_id.clone()));
        let request = self.request(token, reason, wire::CheckAccessRequest { resource });
        self.harness.access().check_access(request).await.map(tonic::Response::into_inner)
    }

    async fn get(&self, token: &str, reason: Option<&str>) -> Result<wire::Pet, Status> {
        let request = wire::GetPetRequest { pet_id: self.pet.pet_id.clone() };
        let request = self.request(token, reason, request);
        self.harness.pets().get_pet(request).await.map(tonic::Response::into_inner)
    }

    async fn looks(&self) -> Vec<wire::StaffAccess> {
        let request = wire::ListAccessesRequest { pet_id: self.pet.pet_id.clone(), ..Default::default() };
        let request = self.harness.with(&self.ada.token, request);
        self.harness.pets().list_accesses(request).await.unwrap().into_inner().accesses
    }
}

fn not_found() -> (Code, String) {
    (Code::NotFound, "PET_NOT_FOUND".to_owned())
}

#[tokio::test]
async fn without_a_reason_or_without_the_role_staff_is_a_stranger() {
    let scene = Scene::new().await;
    let stranger = scene.harness.user("bob").await;
    // Somebody who was given the role and has not signed in since.
    let waiting = scene.harness.user("cyd").await;
    grant(&scene.harness, &scene.admin, &waiting.account_id, PlatformRole::Admin).await.unwrap();
    let before = scene.check(&stranger.token, None).await.unwrap_err();
    for (token, reason) in [
        (&scene.support.token, None),
        (&scene.admin.token, None),
        (&stranger.token, Some(REASON)),
        (&waiting.token, Some(REASON)),
    ] {
        let refused = scene.check(token, reason).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (before.code(), before.message()));
        assert_eq!(refused.details(), before.details(), "the same as for anybody");
        assert_eq!(refusal(scene.get(token, reason).await), not_found());
    }
    // A reason that is none is said so, to staff alone.
    assert_eq!(fields(scene.check(&scene.support.token, Some("because")).await), ["X-Access-Reason"]);
    assert_eq!(refusal(scene.check(&stranger.token, Some("because")).await), not_found());
    let nothing = "SELECT (SELECT count(*) FROM staff_accesses),
                          (SELECT count(*) FROM audit_log WHERE action = 'STAFF_ACCESS')";
    assert_eq!(scene.harness.rows(nothing).await.unwrap(), [["0", "0"]]);
}

#[tokio::test]
async fn with_a_reason_it_reads_and_the_owner_and_the_audit_log_have_it() {
    let scene = Scene::new().await;
    let answer = scene.check(&scene.support.token, Some(REASON)).await.unwrap();
    assert_eq!(answer.role(), Role::Staff);
    let minute =
        petty_chassis::types::micros(scene.harness.clock.now()) + jiff::SignedDuration::from_secs(60);
    assert_eq!(answer.expire_time, Some(minute.into()), "remembered no longer than a minute");
    assert_eq!(
        scene.get(&scene.admin.token, Some("ticket 4712: the same")).await.unwrap().role(),
        Role::Staff
    );

    let looks = scene.looks().await;
    let told: Vec<_> = looks
        .iter()
        .map(|look| (look.account_id.as_str(), look.reason.as_str(), look.service.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (scene.admin.account_id.as_str(), "ticket 4712: the same", "auth"),
            // The harness asks as the gateway does.
            (scene.support.account_id.as_str(), REASON, "gateway"),
        ]
    );
    let rows = "SELECT actor, subject, detail->>'access_id' FROM audit_log WHERE action = 'STAFF_ACCESS' ORDER BY id DESC";
    let expected: Vec<_> = looks
        .iter()
        .map(|look| vec![look.account_id.clone(), scene.pet.pet_id.clone(), look.access_id.clone()])
        .collect();
    assert_eq!(scene.harness.rows(rows).await.unwrap(), expected);
    // Sealed, both here and there.
    let plain =
        "SELECT (SELECT count(*) FROM staff_accesses WHERE encode(reason_sealed, 'escape') LIKE '%4711%'),
                        (SELECT count(*) FROM audit_log WHERE detail::text LIKE '%4711%')";
    assert_eq!(scene.harness.rows(plain).await.unwrap(), [["0", "0"]]);
    for statement in ["UPDATE staff_accesses SET at = now()", "DELETE FROM staff_accesses"] {
        assert!(scene.harness.rows(statement).await.is_err(), "{statement}");
    }
}

#[tokio::test]
async fn it_reads_and_that_is_all() {
    let scene = Scene::new().await;
    let (support, pet_id) = (&scene.support.token, scene.pet.pet_id.clone());
    let denied = (Code::PermissionDenied, "PERMISSION_DENIED".to_owned());
    let mut pets = scene.harness.pets();
    let change =
        wire::UpdatePetRequest { pet_id: pet_id.clone(), name: Some("Max".to_owned()), ..Default::default() };
    let change = scene.request(support, Some(REASON), change);
    assert_eq!(refusal(pets.update_pet(change).await), denied);
    let delete = scene.request(support, Some(REASON), wire::DeletePetRequest { pet_id: pet_id.clone() });
    assert_eq!(refusal(pets.delete_pet(delete).await), denied);
    let shares = wire::ListSharesRequest { pet_id: pet_id.clone(), ..Default::default() };
    let shares = scene.request(support, Some(REASON), shares);
    assert_eq!(refusal(pets.list_shares(shares).await), denied);
    let looks = wire::ListAccessesRequest { pet_id, ..Default::default() };
    let looks = scene.request(support, Some(REASON), looks);
    assert_eq!(refusal(pets.list_accesses(looks).await), denied);
    assert_eq!(scene.get(&scene.ada.token, None).await.unwrap().name, "Rex");
    assert_eq!(scene.looks().await.len(), 4, "that it tried to is written down all the same");
}

#[tokio::test]
async fn a_collar_is_looked_at_with_every_pet_that_wore_it() {
    let scene = Scene::new().await;
    scene.harness.pair(&scene.ada, &scene.pet, COLLAR).await;
    scene.harness.pass(60);
    let other = scene.harness.pet(&scene.ada, "Tom").await;
    scene.harness.pair(&scene.ada, &other, COLLAR).await;
    let resource = Some(Resource::CollarId(COLLAR.to_owned()));
    let request = wire::CheckAccessRequest { resource };
    let ask = |reason| scene.request(&scene.support.token, reason, request.clone());
    let refused = scene.harness.access().check_access(ask(None)).await;
    assert_eq!(refusal(refused), (Code::NotFound, "COLLAR_NOT_FOUND".to_owned()));
    let answer = scene.harness.access().check_access(ask(Some(REASON))).await.unwrap().into_inner();
    let seen: Vec<_> =
        answer.pairings.iter().map(|pairing| (pairing.pet_id.as_str(), pairing.role())).collect();
    assert_eq!(seen, [(scene.pet.pet_id.as_str(), Role::Staff), (other.pet_id.as_str(), Role::Staff)]);
    assert!(answer.expire_time.is_some());
    let written = "SELECT count(DISTINCT pet_id) FROM staff_accesses";
    assert_eq!(scene.harness.value(written).await, "2");
}

#[tokio::test]
async fn ones_own_pet_and_one_that_is_shared_need_no_reason() {
    let scene = Scene::new().await;
    let own = scene.harness.pet(&scene.support, "Max").await;
    let resource = Some(Resource::PetId(own.pet_id.clone()));
    let request = scene.request(&scene.support.token, Some(REASON), wire::CheckAccessRequest { resource });
    let answer = scene.harness.access().check_access(request).await.unwrap().into_inner();
    assert_eq!((answer.role(), answer.expire_time), (Role::Owner, None));
    let share = wire::CreateShareRequest {
        pet_id: scene.pet.pet_id.clone(),
        email: scene.support.email.clone(),
        role: Role::Caregiver.into(),
        ..Default::default()
    };
    scene.harness.pets().create_share(scene.harness.with(&scene.ada.token, share)).await.unwrap();
    assert_eq!(scene.check(&scene.support.token, Some(REASON)).await.unwrap().role(), Role::Caregiver);
    assert!(scene.looks().await.is_empty());
}

#[tokio::test]
async fn a_look_that_cannot_be_written_down_does_not_take_place() {
    let scene = Scene::new().await;
    let role = scene.harness.database.name.clone() + "_runtime";
    let revoke = format!("REVOKE INSERT ON audit_log FROM {role}");
    let grant = format!("GRANT INSERT ON audit_log TO {role}");
    for (breaking, mending) in [
        (revoke.as_str(), grant.as_str()),
        ("ALTER TABLE staff_accesses RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO staff_accesses"),
        ("ALTER TABLE audit_heads RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO audit_heads"),
    ] {
        scene.harness.as_owner(breaking).await;
        let refused = scene.check(&scene.support.token, Some(REASON)).await;
        assert_eq!(refusal(refused).0, Code::Internal, "{breaking}");
        scene.check(&scene.ada.token, None).await.unwrap();
        scene.harness.as_owner(mending).await;
        assert!(scene.looks().await.is_empty(), "{breaking}");
    }
    scene.check(&scene.support.token, Some(REASON)).await.unwrap();
}

#[tokio::test]
async fn a_role_that_was_taken_looks_at_nothing() {
    let scene = Scene::new().await;
    scene.check(&scene.support.token, Some(REASON)).await.unwrap();
    withdraw(&scene.harness, &scene.admin, &scene.support.account_id, PlatformRole::Support).await.unwrap();
    let expired = (Code::Unauthenticated, "TOKEN_EXPIRED".to_owned());
    assert_eq!(refusal(scene.check(&scene.support.token, Some(REASON)).await), expired);
    let refreshed = scene.harness.refresh(&scene.support.refresh).await.unwrap().access_token;
    assert_eq!(refusal(scene.check(&refreshed, Some(REASON)).await), not_found());
}
