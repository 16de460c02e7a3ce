//! PetService: pets themselves. Collars and shares are in modules of their own.

use petty_chassis::ApiError;
use petty_chassis::access::Role;
use petty_chassis::grpc::gate::{Call, PetServiceHandler};
use petty_chassis::page::{Page, Place};
use petty_chassis::postgres::requests;
use petty_chassis::types::{PetId, micros};
use petty_proto::auth::v1 as wire;
use serde_json::json;

use super::errors::Fields;
use super::{Grpc, closing, collar, convert, look, share};
use crate::domain::Error;
use crate::domain::pet::{NewPet, Pet, Profile};
use crate::store::audit::{self, Actor, Entry};
use crate::store::{accounts, pets};
use crate::{announce, revocation};

#[tonic::async_trait]
impl PetServiceHandler for Grpc {
    async fn create_pet(&self, call: Call, request: wire::CreatePetRequest) -> Result<wire::Pet, ApiError> {
        let now = self.now();
        let mut fields = Fields::default();
        let new = convert::new_pet(&mut fields, &request, now);
        convert::request_id(&mut fields, &request.request_id);
        fields.check()?;
        let new = &new.ok_or_else(|| ApiError::internal("a pet without faults is whole"))?;
        let account_id = call.caller().await?.account_id();
        let (pet_id, request, origin) = (PetId::new(&self.clock), &request, self.origin(&call));
        self.db
            .transaction("create_pet", |tx| async move {
                let work = async {
                    let account =
                        accounts::get(&tx, &self.vault, account_id).await?.ok_or(Error::SessionEnded)?;
                    let NewPet { name, species, breed, sex, neutered, birth_date, time_zone } = new.clone();
                    let time_zone = time_zone.unwrap_or(account.time_zone);
                    let profile = Profile { name, species, breed, sex, neutered, birth_date, time_zone };
                    let pet =
                        Pet { pet_id, account_id, profile, created_at: now, updated_at: now, version: 1 };
                    pets::insert(&tx, &pet).await?;
                    announce::pet_changed(&tx, &self.clock, self.shards, &pet).await?;
                    let entry = Entry::done(Actor::Account(account_id), "CREATE_PET", pet_id, origin);
                    audit::write(&tx, now, &entry).await?;
                    Ok(convert::pet(&pet, Some(Role::Owner)))
                };
                requests::once(&tx, &self.clock, (&request.request_id, "CreatePet"), request, work).await
            })
            .await
    }

    async fn list_pets(
        &self,
        call: Call,
        request: wire::ListPetsRequest,
    ) -> Result<wire::ListPetsResponse, ApiError> {
        // The caller's own: in somebody else's hands the token would be of a place in theirs.
        let page = &Page::read("pets".to_owned(), request.page_size, &request.page_token)?;
        let (account_id, now) = (call.caller().await?.account_id(), self.now());
        let mut found: Vec<(Pet, Role)> = self
            .db
            .read("list_pets", |tx| async move { pets::list(&tx, account_id, now, page).await })
            .await?;
        let next_page_token =
            page.cut(&mut found, |(pet, _)| Place { time: pet.created_at, id: pet.pet_id.0 });
        let pets = found.iter().map(|(pet, role)| convert::pet(pet, Some(*role))).collect();
        Ok(wire::ListPetsResponse { pets, next_page_token })
    }

    async fn get_pet(&self, call: Call, _request: wire::GetPetRequest) -> Result<wire::Pet, ApiError> {
        let access = call.pet().await?;
        let pet = self.db.read("get_pet", |tx| async move { pets::get(&tx, access.pet_id).await }).await?;
        Ok(convert::pet(&pet.ok_or(Error::PetNotFound)?, Some(access.role)))
    }

    async fn update_pet(&self, call: Call, request: wire::UpdatePetRequest) -> Result<wire::Pet, ApiError> {
        let now = self.now();
        let mut fields = Fields::default();
        let changes = &convert::changes(&mut fields, &request, now);
        fields.check()?;
        let access = call.pet().await?;
        let (account_id, origin) = (call.claimed_caller()?.account_id(), self.origin(&call));
        self.db
            .transaction("update_pet", |tx| async move {
                let before = pets::lock(&tx, access.pet_id, account_id).await?.ok_or(Error::PetNotFound)?;
                let profile = changes.apply(&before.profile);
                // Sent again, it changes nothing, and there is nothing to tell.
                if profile == before.profile {
                    return Ok(convert::pet(&before, Some(access.role)));
                }
                // Times of one pet go forward, whatever the clocks of two replicas say.
                let updated_at = micros(now.max(before.updated_at));
                let pet = Pet { profile, updated_at, version: before.version + 1, ..before };
                pets::update(&tx, &pet).await?;
                announce::pet_changed(&tx, &self.clock, self.shards, &pet).await?;
                let entry = Entry::done(Actor::Account(account_id), "UPDATE_PET", pet.pet_id, origin)
                    .with(json!({"version": pet.version}));
                audit::write(&tx, now, &entry).await?;
                Ok::<_, ApiError>(convert::pet(&pet, Some(access.role)))
            })
            .await
    }

    async fn delete_pet(
        &self,
        call: Call,
        request: wire::DeletePetRequest,
    ) -> Result<wire::DeletePetResponse, ApiError> {
        let told = match call.pet().await {
            Ok(access) => self.delete(&call, access.pet_id).await?,
            Err(refusal) => vec![self.deleted_before(&call, &request, refusal).await?],
        };
        revocation::told(&self.db, &self.clock, &told, call.deadline()).await?;
        Ok(wire::DeletePetResponse { success: true })
    }

    async fn pair_collar(
        &self,
        call: Call,
        request: wire::PairCollarRequest,
    ) -> Result<wire::PairCollarResponse, ApiError> {
        collar::pair(self, &call, &request).await
    }

    async fn list_collars(
        &self,
        call: Call,
        request: wire::ListCollarsRequest,
    ) -> Result<wire::ListCollarsResponse, ApiError> {
        collar::list(self, &call, &request).await
    }

    async fn unpair_collar(
        &self,
        call: Call,
        request: wire::UnpairCollarRequest,
    ) -> Result<wire::UnpairCollarResponse, ApiError> {
        collar::unpair(self, &call, &request).await
    }

    async fn rotate_collar_secret(
        &self,
        call: Call,
        request: wire::RotateCollarSecretRequest,
    ) -> Result<wire::PairCollarResponse, ApiError> {
        collar::rotate_secret(self, &call, &request).await
    }

    async fn create_share(
        &self,
        call: Call,
        request: wire::CreateShareRequest,
    ) -> Result<wire::Share, ApiError> {
        share::create(self, &call, &request).await
    }

    async fn create_share_link(
        &self,
        call: Call,
        request: wire::CreateShareLinkRequest,
    ) -> Result<wire::CreateShareLinkResponse, ApiError> {
        share::create_link(self, &call, &request).await
    }

    async fn accept_share(
        &self,
        call: Call,
        request: wire::AcceptShareRequest,
    ) -> Result<wire::Pet, ApiError> {
        share::accept(self, &call, &request).await
    }

    async fn list_accesses(
        &self,
        call: Call,
        request: wire::ListAccessesRequest,
    ) -> Result<wire::ListAccessesResponse, ApiError> {
        look::list(self, &call, &request).await
    }

    async fn list_shares(
        &self,
        call: Call,
        request: wire::ListSharesRequest,
    ) -> Result<wire::ListSharesResponse, ApiError> {
        share::list(self, &call, &request).await
    }

    async fn delete_share(
        &self,
        call: Call,
        request: wire::DeleteShareRequest,
    ) -> Result<wire::DeleteShareResponse, ApiError> {
        share::delete(self, &call, &request).await
    }
}

impl Grpc {
    /// Removes a pet; the events to wait for.
    async fn delete(
        &self,
        call: &Call,
        pet_id: PetId,
    ) -> Result<Vec<petty_chassis::types::EventId>, ApiError> {
        let account_id = call.claimed_caller()?.account_id();
        let (now, origin) = (self.now(), self.origin(call));
        self.db
            .transaction("delete_pet", |tx| async move {
                let pet = pets::lock(&tx, pet_id, account_id).await?.ok_or(Error::PetNotFound)?;
                let told = closing::forget_pet(self, &tx, &pet, now).await?;
                let entry = Entry::done(Actor::Account(account_id), "DELETE_PET", pet_id, origin);
                audit::write(&tx, now, &entry).await?;
                Ok::<_, ApiError>(told)
            })
            .await
    }

    /// A removal that is sent again by whose pet it was is the same removal. To anybody else the pet never existed.
    async fn deleted_before(
        &self,
        call: &Call,
        request: &wire::DeletePetRequest,
        refusal: ApiError,
    ) -> Result<petty_chassis::types::EventId, ApiError> {
        let Ok(pet_id) = request.pet_id.parse() else { return Err(refusal) };
        if refusal.reason != petty_chassis::access::pet_not_found().reason {
            return Err(refusal);
        }
        let account_id = call.caller().await?.account_id();
        let deletion = self
            .db
            .read("deletion", |tx| async move { pets::deletion(&tx, pet_id, account_id).await })
            .await?;
        deletion.ok_or(refusal)
    }
}
