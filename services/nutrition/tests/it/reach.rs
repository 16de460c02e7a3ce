//! What an account does to its foods reaches the pets that it may write of, and no others.

use petty_chassis::access::Role;
use petty_chassis::types::{AccountId, PetId};
use petty_proto::nutrition::v1 as wire;
use petty_proto::nutrition::v1::nutrition_service_server::NutritionService as _;
use petty_testbench::at;

use crate::bench::{Bench, kibble, of, only};

type Profile = wire::UpdateNutritionProfileRequest;

/// An owner's dog that eats what its caregiver described and chose, and the caregiver's own dog that eats the same.
struct Fed {
    bench: Bench,
    pet: PetId,
    owner: AccountId,
    own: PetId,
    caregiver: AccountId,
    food: wire::Food,
}

impl Fed {
    async fn new(name: &str) -> Self {
        let bench = Bench::new(name).await;
        let ((pet, owner), (own, caregiver)) = (bench.weighed_dog().await, bench.weighed_dog().await);
        bench.access.share(pet, caregiver, Role::Caregiver);
        let food = bench.food(caregiver, kibble()).await;
        for pet in [pet, own] {
            bench.put_profile(caregiver, Profile { foods: only(&food), ..of(pet) }).await;
        }
        Self { bench, pet, owner, own, caregiver, food }
    }

    /// The caregiver says that it has so much energy, and calls it that.
    async fn change(&self, label: f64, name: &str) {
        let request = wire::UpdateFoodRequest {
            food_id: self.food.food_id.clone(),
            label_kcal_per_100g: Some(label),
            name: Some(name.to_owned()),
            ..Default::default()
        };
        self.bench.grpc.update_food(self.bench.request(self.caregiver, request)).await.unwrap();
    }

    async fn remove(&self) {
        let request = wire::DeleteFoodRequest { food_id: self.food.food_id.clone() };
        self.bench.grpc.delete_food(self.bench.request(self.caregiver, request)).await.unwrap();
    }

    async fn bowl(&self) -> Vec<wire::Portion> {
        self.bench.plan(self.owner, self.pet).await.portions
    }

    /// What the caregiver's own dog eats, and how much of it.
    async fn own_bowl(&self) -> Vec<(String, f64)> {
        let plan = self.bench.plan(self.caregiver, self.own).await;
        plan.portions.into_iter().map(|portion| (portion.name, portion.grams_per_day)).collect()
    }
}

#[tokio::test]
async fn who_may_not_write_of_a_pet_any_more_changes_nothing_in_its_bowl() {
    let fed = Fed::new("reach_changed").await;
    let (before, versions) = (fed.bowl().await, fed.bench.versions(fed.pet).await);
    let [(_, own_before)] = <[_; 1]>::try_from(fed.own_bowl().await).unwrap();
    assert_eq!((before.len(), before[0].name.as_str()), (1, "Kibble"));
    let access = &fed.bench.access;
    for role in [None, Some(Role::Viewer), Some(Role::Vet)] {
        access.unshare(fed.pet, fed.caregiver);
        if let Some(role) = role {
            access.share(fed.pet, fed.caregiver, role);
        }
        fed.change(35.0, "Not for you to read").await;
        assert_eq!(fed.bowl().await, before, "{role:?}");
        assert_eq!(fed.bench.versions(fed.pet).await, versions);
        // It is the account's food all the same: its own dog is fed by it.
        let [(name, grams)] = <[_; 1]>::try_from(fed.own_bowl().await).unwrap();
        assert_eq!(name, "Not for you to read");
        assert!((grams / own_before - 10.0).abs() < 0.01, "{grams} after {own_before}");
        fed.change(350.0, "Kibble").await;
    }
    // The owner goes on with what it eats, and changes the rest.
    let profile = Profile { foods: only(&fed.food), meals_per_day: Some(3), ..of(fed.pet) };
    fed.bench.put_profile(fed.owner, profile).await;
    fed.change(35.0, "Not for you to read").await;
    let now = fed.bowl().await;
    assert_eq!((&now[0].name, now[0].grams_per_day), (&before[0].name, before[0].grams_per_day));
    // To who may write of the pet again, it is their food again.
    access.share(fed.pet, fed.caregiver, Role::Caregiver);
    fed.change(700.0, "Rich").await;
    let now = fed.bowl().await;
    assert_eq!(now[0].name, "Rich");
    assert!((now[0].grams_per_day * 2.0 - before[0].grams_per_day).abs() < 0.02, "{now:?}");
}

#[tokio::test]
async fn who_may_not_write_of_a_pet_any_more_takes_nothing_out_of_its_bowl() {
    let fed = Fed::new("reach_removed").await;
    let before = fed.bowl().await;
    fed.bench.access.unshare(fed.pet, fed.caregiver);
    fed.remove().await;
    fed.remove().await;
    assert_eq!((fed.bowl().await, fed.own_bowl().await), (before.clone(), vec![]));
    // Nor does time.
    fed.bench.clock.set(at(40 * 86_400));
    fed.bench.daily.run_once().await.unwrap();
    assert_eq!(fed.bowl().await, before);
    // Until who may says otherwise; and then nothing of it is left. Back in time: so far ahead no plan can be told.
    fed.bench.clock.set(at(60));
    fed.bench.put_profile(fed.owner, of(fed.pet)).await;
    assert_eq!(fed.bowl().await, []);
    assert_eq!(fed.bench.count("-- kept\nSELECT count(*) FROM kept_foods").await, 0);
}

#[tokio::test]
async fn who_may_write_of_a_pet_again_takes_away_what_it_kept() {
    let fed = Fed::new("reach_again").await;
    fed.bench.access.unshare(fed.pet, fed.caregiver);
    fed.change(340.0, "Crumbs").await;
    assert_eq!(fed.bowl().await[0].name, "Kibble");
    fed.bench.access.share(fed.pet, fed.caregiver, Role::Caregiver);
    fed.remove().await;
    assert_eq!(fed.bowl().await, []);
    assert_eq!(fed.bench.count("-- kept\nSELECT count(*) FROM kept_foods").await, 0);
}
