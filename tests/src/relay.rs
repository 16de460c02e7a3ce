//! A hub: readings by stream, straight to ingest, with a key of the mesh's own.

use std::sync::Arc;

use futures::Stream;
use petty_chassis::grpc::identity::Minter;
use petty_chassis::types::Clock;
use petty_proto::ingest::v1::relay_service_client::RelayServiceClient;
use petty_proto::ingest::v1::{StreamReadingsRequest, StreamReadingsResponse};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use crate::grpc::service_key;
use crate::mesh::Mesh;

/// A way to ingest. Connects when first used, and again where the connection is lost.
#[derive(Clone, Debug)]
pub struct Relay {
    channel: Channel,
    proofs: Arc<Minter>,
}

impl Relay {
    /// To a mesh's first replica.
    ///
    /// # Panics
    /// Where the mesh has no key for it.
    #[must_use]
    pub fn to(mesh: &Mesh) -> Self {
        let uri = format!("http://{}", mesh.plan.replicas["ingest"][0].grpc);
        let channel = Endpoint::from_shared(uri).expect("an address").connect_lazy();
        let proofs = Minter::new("relay", &service_key(mesh, "relay"), Clock::system()).expect("a key");
        Self { channel, proofs: Arc::new(proofs) }
    }

    /// Opens a call for an account or collar.
    ///
    /// # Errors
    /// Where it is refused.
    ///
    /// # Panics
    /// Where the token is no header.
    pub async fn open(
        &self,
        token: &str,
        messages: impl Stream<Item = StreamReadingsRequest> + Send + 'static,
    ) -> Result<Streaming<StreamReadingsResponse>, Status> {
        let mut request = Request::new(messages);
        let proof = self.proofs.token("ingest").expect("a token");
        let proof = proof.to_str().expect("a header").parse().expect("a header");
        let authorization = format!("Bearer {token}").parse().expect("a header");
        request.metadata_mut().insert("petty-service-token", proof);
        request.metadata_mut().insert("authorization", authorization);
        let mut client = RelayServiceClient::new(self.channel.clone());
        Ok(client.stream_readings(request).await?.into_inner())
    }
}
