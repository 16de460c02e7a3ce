//! Stand-ins of the services: they note what they were asked, and answer by the name of what they are asked for.

mod grants;
mod later;
mod streams;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub(crate) use streams::{Streams, update};

use petty_chassis::{ApiError, Code, FieldError};
use petty_gateway::Upstreams;
use petty_proto::auth::v1::account_service_server::{AccountService, AccountServiceServer};
use petty_proto::auth::v1::personal_token_service_server::PersonalTokenServiceServer;
use petty_proto::auth::v1::pet_service_server::{PetService, PetServiceServer};
use petty_proto::auth::v1::staff_service_server::StaffServiceServer;
use petty_proto::auth::v1::token_service_server::{TokenService, TokenServiceServer};
use petty_proto::auth::v1::{self as auth};
use petty_proto::behavior::v1::behavior_service_server::{BehaviorService, BehaviorServiceServer};
use petty_proto::behavior::v1::{self as behavior};
use petty_proto::feedback::v1::feedback_service_server::FeedbackServiceServer;
use petty_proto::ingest::v1::ingest_service_server::{IngestService, IngestServiceServer};
use petty_proto::ingest::v1::reading_service_server::{ReadingService, ReadingServiceServer};
use petty_proto::ingest::v1::{self as ingest};
use petty_proto::nutrition::v1::nutrition_service_server::NutritionServiceServer;
use petty_proto::timeline::v1::timeline_service_server::TimelineServiceServer;
use petty_proto::wkt::Timestamp;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// One call as a service saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: &'static str,
    pub(crate) metadata: MetadataMap,
    /// The message's `request_id`.
    pub(crate) request_id: String,
    /// The whole message, where somebody looks at it.
    pub(crate) message: String,
}

impl Seen {
    pub(crate) fn metadata(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(|value| value.to_str().unwrap())
    }
}

/// All services.
#[derive(Clone, Debug, Default)]
pub(crate) struct StandIn {
    seen: Arc<Mutex<Vec<Seen>>>,
    /// What is streamed.
    pub(crate) streams: Streams,
    tickets: Arc<Mutex<BTreeMap<String, String>>>,
    /// How many batches are still to be answered that the store is away.
    pub(crate) away: Arc<AtomicUsize>,
}

impl StandIn {
    pub(crate) fn upstreams(&self) -> Upstreams {
        let auth = Routes::new(AccountServiceServer::new(self.clone()))
            .add_service(TokenServiceServer::new(self.clone()))
            .add_service(PersonalTokenServiceServer::new(self.clone()))
            .add_service(StaffServiceServer::new(self.clone()))
            .add_service(PetServiceServer::new(self.clone()));
        let ingest = Routes::new(IngestServiceServer::new(self.clone()))
            .add_service(ReadingServiceServer::new(self.clone()));
        Upstreams::default()
            .with("auth", auth)
            .with("ingest", ingest)
            .with("behavior", BehaviorServiceServer::new(self.clone()))
            .with("nutrition", NutritionServiceServer::new(self.clone()))
            .with("timeline", TimelineServiceServer::new(self.clone()))
            .with("feedback", FeedbackServiceServer::new(self.clone()))
    }

    /// The calls so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The calls of a method so far.
    pub(crate) fn calls(&self, method: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.method == method).collect()
    }

    /// Gives a ticket out, for this access token.
    pub(crate) fn ticket(&self, ticket: &str, token: &str) {
        self.tickets.lock().unwrap().insert(ticket.to_owned(), token.to_owned());
    }

    fn note(&self, method: &'static str, metadata: &MetadataMap, request_id: &str) {
        self.note_whole(method, metadata, request_id, String::new());
    }

    fn note_whole(&self, method: &'static str, metadata: &MetadataMap, request_id: &str, message: String) {
        let request_id = request_id.to_owned();
        self.seen.lock().unwrap().push(Seen { method, metadata: metadata.clone(), request_id, message });
    }
}

type Answer<'f, T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send + 'f>>;

/// Methods that only note that they were called.
macro_rules! answers_default {
    ($($method:ident($request:ty) -> $response:ty;)*) => {
        $(fn $method<'s, 'f>(&'s self, request: Request<$request>) -> Answer<'f, $response>
        where
            's: 'f,
            Self: 'f,
        {
            let message = format!("{:?}", request.get_ref());
            self.note_whole(stringify!($method), request.metadata(), "", message);
            Box::pin(std::future::ready(Ok(Response::new(<$response>::default()))))
        })*
    };
}
use answers_default;

#[tonic::async_trait]
impl AccountService for StandIn {
    answers_default! {
        get_me(auth::GetMeRequest) -> auth::Account;
        update_me(auth::UpdateMeRequest) -> auth::Account;
        close_account(auth::CloseAccountRequest) -> auth::CloseAccountResponse;
    }

    /// Says of every address at this domain that it was taken, and has nothing to say yet.
    async fn sign_up(
        &self,
        request: Request<auth::SignUpRequest>,
    ) -> Result<Response<auth::TokenResponse>, Status> {
        let message = format!("{:?}", request.get_ref());
        self.note_whole("sign_up", request.metadata(), "", message);
        let mut response = Response::new(auth::TokenResponse::default());
        if request.get_ref().email.ends_with("@verified.example") {
            response.metadata_mut().insert("petty-accepted", "true".parse().unwrap());
        }
        Ok(response)
    }
}

#[tonic::async_trait]
impl TokenService for StandIn {
    answers_default! {
        refresh(auth::RefreshRequest) -> auth::TokenResponse;
        log_out(auth::LogOutRequest) -> auth::LogOutResponse;
        issue_collar_token(auth::IssueCollarTokenRequest) -> auth::CollarTokenResponse;
        get_jwks(auth::GetJwksRequest) -> auth::Jwks;
        revoke_token(auth::RevokeTokenRequest) -> auth::RevokeTokenResponse;
        introspect_token(auth::IntrospectTokenRequest) -> auth::IntrospectTokenResponse;
        get_server_metadata(auth::GetServerMetadataRequest) -> auth::ServerMetadata;
        issue_stream_ticket(auth::IssueStreamTicketRequest) -> auth::IssueStreamTicketResponse;
    }

    async fn redeem_stream_ticket(
        &self,
        request: Request<auth::RedeemStreamTicketRequest>,
    ) -> Result<Response<auth::RedeemStreamTicketResponse>, Status> {
        self.note("redeem_stream_ticket", request.metadata(), "");
        let Some(access_token) = self.tickets.lock().unwrap().remove(&request.get_ref().ticket) else {
            return Err(ApiError::unauthenticated("TICKET_INVALID", "the ticket is not valid").into());
        };
        Ok(Response::new(auth::RedeemStreamTicketResponse { access_token, expires_in: 900 }))
    }

    async fn log_in(
        &self,
        request: Request<auth::LogInRequest>,
    ) -> Result<Response<auth::TokenResponse>, Status> {
        self.note("log_in", request.metadata(), "");
        Err(ApiError::unauthenticated("BAD_CREDENTIALS", "e-mail address or passphrase are wrong").into())
    }
}

#[tonic::async_trait]
impl PetService for StandIn {
    answers_default! {
        list_pets(auth::ListPetsRequest) -> auth::ListPetsResponse;
        update_pet(auth::UpdatePetRequest) -> auth::Pet;
        delete_pet(auth::DeletePetRequest) -> auth::DeletePetResponse;
        list_collars(auth::ListCollarsRequest) -> auth::ListCollarsResponse;
        unpair_collar(auth::UnpairCollarRequest) -> auth::UnpairCollarResponse;
        rotate_collar_secret(auth::RotateCollarSecretRequest) -> auth::PairCollarResponse;
        create_share(auth::CreateShareRequest) -> auth::Share;
        create_share_link(auth::CreateShareLinkRequest) -> auth::CreateShareLinkResponse;
        accept_share(auth::AcceptShareRequest) -> auth::Pet;
        list_accesses(auth::ListAccessesRequest) -> auth::ListAccessesResponse;
        list_shares(auth::ListSharesRequest) -> auth::ListSharesResponse;
        delete_share(auth::DeleteShareRequest) -> auth::DeleteShareResponse;
    }

    /// With a secret that is long enough to be worth packing.
    async fn pair_collar(
        &self,
        request: Request<auth::PairCollarRequest>,
    ) -> Result<Response<auth::PairCollarResponse>, Status> {
        self.note("pair_collar", request.metadata(), &request.get_ref().request_id);
        Ok(Response::new(auth::PairCollarResponse { secret: "s".repeat(5_000), ..Default::default() }))
    }

    async fn create_pet(
        &self,
        request: Request<auth::CreatePetRequest>,
    ) -> Result<Response<auth::Pet>, Status> {
        let replayed = {
            let seen = self.seen.lock().unwrap();
            let request_id = &request.get_ref().request_id;
            !request_id.is_empty() && seen.iter().any(|seen| seen.request_id == *request_id)
        };
        self.note("create_pet", request.metadata(), &request.get_ref().request_id);
        let request = request.into_inner();
        if request.name == "AWAY" {
            return Err(Status::unavailable("away"));
        }
        let pet = auth::Pet {
            pet_id: "p-1".to_owned(),
            name: request.name,
            species: request.species,
            create_time: Some(Timestamp { seconds: 1_769_860_800, nanos: 0 }),
            ..auth::Pet::default()
        };
        let mut response = Response::new(pet);
        if replayed {
            response.metadata_mut().insert("idempotency-replayed", "true".parse().unwrap());
        }
        Ok(response)
    }

    async fn get_pet(&self, request: Request<auth::GetPetRequest>) -> Result<Response<auth::Pet>, Status> {
        self.note("get_pet", request.metadata(), "");
        match request.get_ref().pet_id.as_str() {
            "missing" => Err(ApiError::not_found("PET_NOT_FOUND", "no such pet").into()),
            "forbidden" => {
                Err(ApiError::new(Code::PermissionDenied, "PERMISSION_DENIED", "not with it").into())
            }
            "bad" => Err(ApiError::invalid(vec![FieldError::malformed("pet_id", "must be a UUID")]).into()),
            "taken" => Err(ApiError::new(Code::Conflict, "EMAIL_TAKEN", "it is taken").into()),
            "reused" => {
                Err(ApiError::new(Code::RequestIdReused, "IDEMPOTENCY_KEY_REUSED", "another body").into())
            }
            "busy" => Err(ApiError::new(Code::ResourceExhausted, "TOO_MANY", "slow down").into()),
            "away" => Err(ApiError::unavailable("DATABASE_AWAY", "connection to 10.0.0.7 refused").into()),
            "broken" => Err(Status::internal("relation \"pets\" does not exist")),
            "foreign" => Err(Status::not_found("SELECT * FROM pets")),
            "slow" => std::future::pending().await,
            "panic" => panic!("a secret in a panic"),
            id => Ok(Response::new(auth::Pet { pet_id: id.to_owned(), ..auth::Pet::default() })),
        }
    }
}

#[tonic::async_trait]
impl IngestService for StandIn {
    answers_default! {
        ingest_reading(ingest::IngestReadingRequest) -> ingest::IngestReadingResponse;
    }

    async fn ingest_readings(
        &self,
        request: Request<ingest::IngestReadingsRequest>,
    ) -> Result<Response<ingest::IngestReadingsResponse>, Status> {
        self.note("ingest_readings", request.metadata(), "");
        let take_one = |left: usize| left.checked_sub(1);
        if self.away.fetch_update(Ordering::AcqRel, Ordering::Acquire, take_one).is_ok() {
            return Err(ApiError::unavailable("STORE_UNAVAILABLE", "connection to 10.0.0.7 refused").into());
        }
        let readings = request.into_inner().readings;
        let count = i32::try_from(readings.len()).unwrap();
        let rejected = readings.iter().enumerate().filter(|(_, reading)| reading.collar_id == "nobodys");
        let rejected: Vec<ingest::RejectedReading> = rejected
            .map(|(index, _)| ingest::RejectedReading {
                index: i32::try_from(index).unwrap(),
                field: "collar_id".to_owned(),
                reason: "no such collar".to_owned(),
                code: "COLLAR_NOT_FOUND".to_owned(),
            })
            .collect();
        let accepted = count - i32::try_from(rejected.len()).unwrap();
        Ok(Response::new(ingest::IngestReadingsResponse {
            accepted,
            rejected,
            ..ingest::IngestReadingsResponse::default()
        }))
    }
}

#[tonic::async_trait]
impl ReadingService for StandIn {
    async fn get_realtime(
        &self,
        request: Request<ingest::GetRealtimeRequest>,
    ) -> Result<Response<ingest::GetRealtimeResponse>, Status> {
        self.note("get_realtime", request.metadata(), "");
        Ok(Response::new(ingest::GetRealtimeResponse {
            collar_id: request.into_inner().collar_id,
            pet_id: "p-1".to_owned(),
            heart_rate: Some(80.5),
            ..ingest::GetRealtimeResponse::default()
        }))
    }

    answers_default! {
        list_readings(ingest::ListReadingsRequest) -> ingest::ListReadingsResponse;
    }
}

#[tonic::async_trait]
impl BehaviorService for StandIn {
    answers_default! {
        list_behaviors(behavior::ListBehaviorsRequest) -> behavior::ListBehaviorsResponse;
        get_behavior(behavior::GetBehaviorRequest) -> behavior::Episode;
        describe_episode(behavior::DescribeEpisodeRequest) -> behavior::Episode;
        get_baseline(behavior::GetBaselineRequest) -> behavior::Baseline;
        get_health_score(behavior::GetHealthScoreRequest) -> behavior::HealthScore;
        get_forecast(behavior::GetForecastRequest) -> behavior::Forecast;
        analyze_readings(behavior::AnalyzeReadingsRequest) -> behavior::AnalyzeReadingsResponse;
    }
}
