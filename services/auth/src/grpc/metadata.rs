//! Where what is that concerns tokens (RFC 8414).

use petty_proto::auth::v1 as wire;

use super::Grpc;
use crate::domain::account::SCOPE;

impl Grpc {
    pub(super) fn metadata(&self) -> wire::ServerMetadata {
        let issuer = self.tokens.issuer.as_str();
        let is_url = issuer.starts_with("https://") || issuer.starts_with("http://");
        let base = self.public_url.as_deref().or(is_url.then_some(issuer)).unwrap_or_default();
        let at = |path: &str| format!("{}{path}", base.trim_end_matches('/'));
        wire::ServerMetadata {
            issuer: issuer.to_owned(),
            jwks_uri: at("/.well-known/jwks.json"),
            revocation_endpoint: at("/v1/auth/revoke"),
            revocation_endpoint_auth_methods_supported: vec!["none".to_owned()],
            response_types_supported: Vec::new(),
            grant_types_supported: Vec::new(),
            scopes_supported: SCOPE.split(' ').map(str::to_owned).collect(),
        }
    }
}
