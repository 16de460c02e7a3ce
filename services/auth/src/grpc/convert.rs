//! Between wire and domain.

use jiff::Timestamp;
use petty_chassis::FieldError;
use petty_chassis::access::Role;
use petty_chassis::types::micros;
use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::pet::Role as WireRole;
use petty_proto::wkt;

use super::errors::Fields;
use crate::domain::access::{Share, VisiblePairing};
use crate::domain::account::Account;
use crate::domain::pairing::Pairing;
use crate::domain::pet::{self, Changes, NewPet, Pet, Profile, Sex, Species};
use crate::domain::{Problem, text};
use crate::signer::PublicKey;

/// The longest request_id.
const LONGEST_REQUEST_ID: usize = 100;

pub(crate) fn account(account: &Account) -> wire::Account {
    wire::Account {
        account_id: account.account_id.to_string(),
        email: account.email.address().to_owned(),
        name: account.name.clone(),
        time_zone: account.time_zone.as_str().to_owned(),
        create_time: Some(account.created_at.into()),
        email_verified: account.email_verified_at.is_some(),
    }
}

pub(crate) fn pet(pet: &Pet, role: Option<Role>) -> wire::Pet {
    let Profile { name, species, breed, sex, neutered, birth_date, time_zone } = &pet.profile;
    let species = match species {
        Species::Dog => wire::pet::Species::Dog,
        Species::Cat => wire::pet::Species::Cat,
    };
    let sex = match sex {
        None => wire::pet::Sex::Unspecified,
        Some(Sex::Female) => wire::pet::Sex::Female,
        Some(Sex::Male) => wire::pet::Sex::Male,
    };
    wire::Pet {
        pet_id: pet.pet_id.to_string(),
        name: name.clone(),
        species: species.into(),
        breed: breed.clone(),
        sex: sex.into(),
        neutered: *neutered,
        birth_date: birth_date.map(|date| date.to_string()),
        time_zone: time_zone.as_str().to_owned(),
        create_time: Some(pet.created_at.into()),
        update_time: Some(pet.updated_at.into()),
        version: pet.version,
        role: role.map_or(WireRole::Unspecified, WireRole::from).into(),
    }
}

pub(crate) fn collar(pairing: &Pairing) -> wire::Collar {
    wire::Collar {
        collar_id: pairing.collar_id.to_string(),
        pet_id: pairing.pet_id.to_string(),
        start_time: Some(pairing.start_at.into()),
        end_time: pairing.end_at.map(Into::into),
    }
}

pub(crate) fn share(share: &Share) -> wire::Share {
    wire::Share {
        share_id: share.share_id.to_string(),
        pet_id: share.pet_id.to_string(),
        email: share.email.as_ref().map(|email| email.address().to_owned()).unwrap_or_default(),
        role: WireRole::from(share.role).into(),
        expire_time: share.expires_at.map(Into::into),
        create_time: Some(share.created_at.into()),
        accept_before_time: share.accept_before.map(Into::into),
    }
}

pub(crate) fn visible(visible: &VisiblePairing) -> petty_chassis::access::Pairing {
    let VisiblePairing { pairing, grant } = visible;
    petty_chassis::access::Pairing {
        pairing_id: pairing.pairing_id,
        pet_id: pairing.pet_id,
        start: pairing.start_at,
        end: pairing.end_at,
        role: grant.role,
    }
}

pub(crate) fn jwks(keys: Vec<PublicKey>) -> wire::Jwks {
    let keys = keys.into_iter().map(|PublicKey { kty, kid, alg, n, e, crv, x, y }| wire::Jwk {
        kty,
        kid,
        r#use: "sig".to_owned(),
        alg,
        n,
        e,
        crv,
        x,
        y,
    });
    wire::Jwks { keys: keys.collect() }
}

/// Reads a new pet.
pub(super) fn new_pet(
    fields: &mut Fields,
    request: &wire::CreatePetRequest,
    now: Timestamp,
) -> Option<NewPet> {
    let name = fields.take("name", text::required(&request.name));
    let species = fields.take("species", species(request.species));
    let breed = fields.take("breed", text::optional(request.breed.as_deref().unwrap_or_default()));
    let sex = fields.take("sex", sex(request.sex));
    let birth_date = match request.birth_date.as_deref() {
        None | Some("") => Some(None),
        Some(date) => fields.take("birth_date", pet::birth_date(date, now)).map(Some),
    };
    let time_zone = match request.time_zone.as_deref() {
        None | Some("") => Some(None),
        Some(zone) => fields.take("time_zone", text::TimeZoneName::parse(zone)).map(Some),
    };
    Some(NewPet {
        name: name?,
        species: species?,
        breed: breed?,
        sex: sex?,
        neutered: request.neutered,
        birth_date: birth_date?,
        time_zone: time_zone?,
    })
}

/// Reads what to change about a pet.
pub(super) fn changes(fields: &mut Fields, request: &wire::UpdatePetRequest, now: Timestamp) -> Changes {
    Changes {
        name: request.name.as_deref().and_then(|name| fields.take("name", text::required(name))),
        breed: request.breed.as_deref().and_then(|breed| fields.take("breed", text::optional(breed))),
        sex: request.sex.and_then(|value| fields.take("sex", sex(value))),
        neutered: request.neutered,
        birth_date: match request.birth_date.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(date) => fields.take("birth_date", pet::birth_date(date, now)).map(Some),
        },
        time_zone: request
            .time_zone
            .as_deref()
            .and_then(|zone| fields.take("time_zone", text::TimeZoneName::parse(zone))),
    }
}

fn species(value: i32) -> Result<Species, Problem> {
    match wire::pet::Species::try_from(value) {
        Ok(wire::pet::Species::Dog) => Ok(Species::Dog),
        Ok(wire::pet::Species::Cat) => Ok(Species::Cat),
        Ok(wire::pet::Species::Unspecified) => Err(Problem::REQUIRED),
        Err(_) => Err(Problem::malformed("must be DOG or CAT")),
    }
}

fn sex(value: i32) -> Result<Option<Sex>, Problem> {
    match wire::pet::Sex::try_from(value) {
        Ok(wire::pet::Sex::Female) => Ok(Some(Sex::Female)),
        Ok(wire::pet::Sex::Male) => Ok(Some(Sex::Male)),
        Ok(wire::pet::Sex::Unspecified) => Ok(None),
        Err(_) => Err(Problem::malformed("must be FEMALE or MALE")),
    }
}

/// Reads the role of a share.
pub(super) fn shared_role(value: i32) -> Result<Role, Problem> {
    match WireRole::try_from(value) {
        Ok(WireRole::Viewer) => Ok(Role::Viewer),
        Ok(WireRole::Caregiver) => Ok(Role::Caregiver),
        Ok(WireRole::Vet) => Ok(Role::Vet),
        Ok(WireRole::Unspecified) => Err(Problem::REQUIRED),
        Ok(WireRole::Owner | WireRole::Staff) | Err(_) => {
            Err(Problem::malformed("must be VIEWER, CAREGIVER or VET"))
        }
    }
}

/// Reads a time that may be absent, to the microsecond.
pub(super) fn time(
    fields: &mut Fields,
    field: &'static str,
    value: Option<wkt::Timestamp>,
) -> Option<Option<Timestamp>> {
    match value.map(Timestamp::try_from).transpose() {
        Ok(time) => Some(time.map(micros)),
        Err(_) => {
            fields.fault(FieldError::malformed(field, "must be a time between the years 1 and 9999"));
            None
        }
    }
}

/// Checks a request's id.
pub(super) fn request_id(fields: &mut Fields, id: &str) {
    if id.chars().count() > LONGEST_REQUEST_ID {
        fields.fault(FieldError::out_of_range("request_id", "must be at most 100 characters"));
    }
}
