//! The name in a certificate that the TLS layer has verified already.

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Refusal, ServiceIdentity};

/// The one service that the leaf's DNS names speak of: `auth`, or `auth.petty…`.
pub(super) fn identity(chain: &[CertificateDer<'static>]) -> Result<ServiceIdentity, Refusal> {
    let leaf = chain.first().ok_or(Refusal("no certificate"))?;
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| Refusal("the certificate cannot be read"))?;
    let names = leaf
        .subject_alternative_name()
        .ok()
        .flatten()
        .ok_or(Refusal("the certificate has no subject alternative name"))?;
    let mut service = None;
    for name in &names.value.general_names {
        let GeneralName::DNSName(name) = name else { continue };
        let Some(named) = service_of(name) else { continue };
        if service.is_some_and(|before| before != named) {
            return Err(Refusal("the certificate names several services"));
        }
        service = Some(named);
    }
    service.map(ServiceIdentity::new).ok_or(Refusal("the certificate names no service"))
}

/// `auth` of `auth`, `auth.petty` and `auth.petty.svc.cluster.local`.
fn service_of(name: &str) -> Option<&str> {
    let (service, domain) =
        name.split_once('.').map_or((name, None), |(service, domain)| (service, Some(domain)));
    let ours = domain.is_none_or(|domain| domain == "petty" || domain.starts_with("petty."));
    (ours && !service.is_empty() && service != "localhost" && !service.contains('*')).then_some(service)
}
