//! The forgeries.

use petty_chassis::types::Clock;
use petty_proto::policy::{Audience, MethodPolicy};
use petty_tests::forge::{Draft, Forge};
use petty_tests::grpc::service_token;
use petty_tests::rest::Account;
use reqwest::Method;
use serde_json::{Value, json};

use crate::matrix::scene::{COLLAR, Scene};

/// A token that is not good.
pub(super) struct Case {
    pub(super) name: String,
    /// The whole header; `None`: there is none.
    pub(super) authorization: Option<String>,
    /// A good token, but a collar's.
    is_collars: bool,
}

impl Case {
    /// The status, and the code where only one will do.
    pub(super) fn expected(&self, policy: &MethodPolicy) -> (u16, Option<&'static str>) {
        match policy.audience {
            Audience::Account if self.is_collars => (403, Some("DEVICE_NOT_ALLOWED")),
            _ => (401, None),
        }
    }
}

struct Cases(Vec<Case>);

impl Cases {
    fn header(&mut self, name: impl Into<String>, authorization: Option<String>) {
        self.0.push(Case { name: name.into(), authorization, is_collars: false });
    }

    fn token(&mut self, name: impl Into<String>, token: impl AsRef<str>) {
        self.header(name, Some(format!("Bearer {}", token.as_ref())));
    }
}

/// Every forgery of an account's token.
pub(super) async fn of(account: &Account, scene: &Scene, forge: &Forge) -> Vec<Case> {
    let good = &account.token;
    let draft = Draft::of(good);
    let mut cases = Cases(Vec::new());
    no_token(&mut cases, account, scene).await;
    algorithms(&mut cases, &draft, forge);
    claims(&mut cases, &draft, forge, scene);
    times(&mut cases, &draft, forge);
    keys(&mut cases, &draft, forge, scene).await;
    signatures(&mut cases, &draft, forge, good);
    cases.0
}

async fn no_token(cases: &mut Cases, account: &Account, scene: &Scene) {
    let good = &account.token;
    cases.header("no token", None);
    cases.header("an empty header", Some(String::new()));
    cases.header("a scheme alone", Some("Bearer".to_owned()));
    cases.header("a token without a scheme", Some(good.clone()));
    cases.header("another scheme", Some(format!("Basic {good}")));
    cases.header("two tokens in one header", Some(format!("Bearer {good} {good}")));
    cases.header("two tokens with a comma", Some(format!("Bearer {good}, Bearer {good}")));
    for garbage in ["garbage", "a.b.c", "..", "...", "e30.e30.", "null", "eyJ.eyJ.eyJ.eyJ.eyJ"] {
        cases.token(format!("garbage {garbage:?}"), garbage);
    }
    cases.token("garbage of 9,000 characters", "g".repeat(9_000));
    cases.token("a refresh token", &account.refresh);
    cases.token("a collar's secret", &scene.secret);
    cases.token("a service's own token", service_token(&scene.mesh, "gateway", "auth"));
    let ticket = scene.client.post("/v1/stream/ticket", good, &json!({})).await.good();
    cases.token("a stream's ticket", ticket["ticket"].as_str().unwrap());
    cases.token("a personal token that was ended", &scene.ended_personal);
    let (begin, end) = scene.personal.split_at(20);
    let changed = if end.starts_with('a') { "b" } else { "a" };
    cases.token("a personal token with another letter", format!("{begin}{changed}{}", &end[1..]));
    cases.token("a personal token cut short", &scene.personal[..scene.personal.len() - 1]);
    cases.token("a personal token's prefix", "petty_pat_");
    // On routes that take collars it is refused because the collar has since been taken off.
    cases.0.push(Case {
        name: "a collar's token on an account's route".to_owned(),
        authorization: Some(format!("Bearer {}", scene.ended_device)),
        is_collars: true,
    });
}

fn algorithms(cases: &mut Cases, draft: &Draft, forge: &Forge) {
    for none in ["none", "None", "NONE", "nOnE", "", "null", "RS256 "] {
        let draft = draft.clone().header("alg", json!(none));
        cases.token(format!("alg {none:?}, unsigned"), format!("{}.", draft.unsigned()));
        cases.token(format!("alg {none:?}, signed all the same"), forge.sign(&draft));
    }
    cases.token("no alg", forge.sign(&draft.clone().header("alg", Value::Null)));
    for other in ["HS256", "HS384", "HS512", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA", "rs256"] {
        cases.token(
            format!("alg {other} over an RS256 signature"),
            forge.sign(&draft.clone().header("alg", json!(other))),
        );
    }
    cases.token("alg as a list", forge.sign(&draft.clone().header("alg", json!(["RS256"]))));
    for (form, secret) in forge.public_forms() {
        let hs256 = draft.clone().header("alg", json!("HS256"));
        cases.token(format!("HS256 with the public key: {form}"), hs256.hmac(&secret));
        cases.token(format!("HS256 called RS256, with the public key: {form}"), draft.hmac(&secret));
    }
    let header = |first: &str, second: &str| {
        let kid = draft.header["kid"].as_str().unwrap();
        format!(r#"{{"alg":"{first}","kid":"{kid}","typ":"at+jwt","alg":"{second}"}}"#)
    };
    for (first, second) in [("none", "RS256"), ("RS256", "none"), ("HS256", "RS256"), ("RS256", "RS256")] {
        let signed = draft.unsigned_with(&header(first, second));
        let signature = forge.signature(signed.as_bytes());
        cases.token(format!("alg twice, {first} and {second}"), joined(&signed, &signature));
    }
}

fn claims(cases: &mut Cases, draft: &Draft, forge: &Forge, scene: &Scene) {
    for typ in [
        json!(null),
        json!(""),
        json!("JWT"),
        json!("at"),
        json!("petty-service+jwt"),
        json!("rt+jwt"),
        json!(7),
    ] {
        cases.token(format!("typ {typ}"), forge.sign(&draft.clone().header("typ", typ)));
    }
    let strangers =
        [json!(null), json!(""), json!("another"), json!([]), json!(["another"]), json!(7), json!({})];
    for name in ["aud", "iss"] {
        for value in strangers.iter().chain(&[json!("PETTY"), json!("petty/"), json!("petty ")]) {
            cases.token(format!("{name} {value}"), forge.sign(&draft.clone().claim(name, value.clone())));
        }
    }
    for name in ["sub", "sid"] {
        let nobody = json!("00000000-0000-7000-8000-000000000007");
        for value in strangers.iter().chain(&[nobody, json!("' OR '1'='1")]) {
            cases.token(format!("{name} {value}"), forge.sign(&draft.clone().claim(name, value.clone())));
        }
    }
    let other = Draft::of(&scene.other.token);
    let somebodys = draft.clone().claim("sub", other.claims["sub"].clone());
    cases.token("another account's sub with the own session", forge.sign(&somebodys));
    let somebodys = draft.clone().claim("sid", other.claims["sid"].clone());
    cases.token("another account's session", forge.sign(&somebodys));
    let device = Draft::of(&scene.device);
    cases.token("a collar's token that says it is none", forge.sign(&device.claim("device", Value::Null)));
    cases.token("no scope", forge.sign(&draft.clone().claim("scope", Value::Null)));
    let twice = |claims: String| {
        let header = Value::Object(draft.header.clone()).to_string();
        let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
        joined(&signed, &forge.signature(signed.as_bytes()))
    };
    let claims = Value::Object(draft.claims.clone()).to_string();
    let sub = other.claims["sub"].as_str().unwrap();
    cases.token("sub twice", twice(claims.replacen('{', &format!("{{\"sub\":\"{sub}\","), 1)));
    cases.token("claims that go on after their end", twice(format!("{claims}{claims}")));
    cases.token("claims that are a list", twice(format!("[{claims}]")));
    cases.token("no claims", twice(String::new()));
}

fn times(cases: &mut Cases, draft: &Draft, forge: &Forge) {
    let now = Clock::system().now().as_second();
    let expired =
        |seconds: i64| draft.clone().claim("exp", json!(now - seconds)).moved("nbf", -900).moved("iat", -900);
    cases.token("expired ten seconds ago", forge.sign(&expired(10)));
    cases.token("expired a year ago", forge.sign(&expired(366 * 86_400)));
    let later = |seconds: i64| draft.clone().claim("nbf", json!(now + seconds));
    cases.token("not valid for an hour yet", forge.sign(&later(3_600)));
    cases.token("not valid for a year yet", forge.sign(&later(366 * 86_400)));
    for name in ["exp", "nbf"] {
        for value in [
            json!(null),
            json!(""),
            json!("9999999999"),
            json!([9_999_999_999_i64]),
            json!(true),
            json!(1e300),
        ] {
            cases.token(format!("{name} {value}"), forge.sign(&draft.clone().claim(name, value)));
        }
    }
    cases.token("exp 0", forge.sign(&draft.clone().claim("exp", json!(0))));
    cases.token("exp before all times", forge.sign(&draft.clone().claim("exp", json!(i64::MIN))));
    cases.token("nbf after all times", forge.sign(&draft.clone().claim("nbf", json!(i64::MAX))));
}

async fn keys(cases: &mut Cases, draft: &Draft, forge: &Forge, scene: &Scene) {
    for kid in [
        json!(null),
        json!(""),
        json!("unknown"),
        json!("../../../../dev/null"),
        json!("/etc/passwd"),
        json!("file:///dev/null"),
        json!("http://127.0.0.1:9/jwks.json"),
        json!("' OR '1'='1"),
        json!("x' UNION SELECT 'AAAA' -- "),
        json!("$(id)"),
        json!("\u{0}"),
        json!("k".repeat(4_000)),
        json!(7),
        json!([draft.header["kid"]]),
        json!(format!(" {}", draft.header["kid"].as_str().unwrap())),
        json!(draft.header["kid"].as_str().unwrap().to_uppercase()),
    ] {
        let name = kid.to_string().chars().take(40).collect::<String>();
        cases.token(format!("kid {name}"), forge.sign(&draft.clone().header("kid", kid)));
    }
    let published =
        scene.client.send(scene.client.request(Method::GET, "/.well-known/jwks.json", None)).await.good();
    for other in published["keys"].as_array().unwrap().iter().filter(|key| key["kid"] != draft.header["kid"])
    {
        cases.token(
            "another published key's kid",
            forge.sign(&draft.clone().header("kid", other["kid"].clone())),
        );
    }
    let foreign = Forge::foreign();
    cases.token("a foreign key's signature under the right kid", foreign.sign(draft));
    let own = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RS256"});
    for (name, value) in [
        ("jwk", own.clone()),
        ("jku", json!("http://127.0.0.1:9/jwks.json")),
        ("x5u", json!("http://127.0.0.1:9/cert.pem")),
        ("x5c", json!(["AAAA"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(["unheard-of"])),
    ] {
        let with = draft.clone().header(name, value.clone());
        cases.token(format!("{name} {value}, well signed"), forge.sign(&with));
        cases.token(format!("{name} {value}, by a foreign key"), foreign.sign(&with));
        cases.token(
            format!("{name} {value}, by a foreign key of its own kid"),
            foreign.sign(&with.header("kid", json!("own"))),
        );
    }
    let b64 = draft.clone().header("crit", json!(["b64"])).header("b64", json!(false));
    cases.token("b64 as critical", forge.sign(&b64));
    // A service has a key that the mesh knows; it makes no users.
    let environment = scene.mesh.plan.environment("gateway", 0).unwrap();
    let private = &environment["PETTY_SERVICE_KEY"];
    let by_service = draft.clone().header("alg", json!("EdDSA"));
    cases.token("a service's signature under the right kid", by_service.ed25519(private));
    cases.token(
        "a service's signature under its name",
        by_service.header("kid", json!("gateway")).ed25519(private),
    );
}

fn signatures(cases: &mut Cases, draft: &Draft, forge: &Forge, good: &str) {
    let (signed, signature) = good.rsplit_once('.').unwrap();
    cases.token("no signature", format!("{signed}."));
    cases.token("two parts", signed);
    cases.token("a part too many", format!("{good}.{signature}"));
    cases.token("an empty part before", format!(".{good}"));
    cases.token("padding", format!("{good}="));
    let bytes = forge.signature(signed.as_bytes());
    assert_eq!(joined(signed, &bytes), good, "RS256 is deterministic: the forger's key is the mesh's own");
    for (name, at) in [("first", 0), ("middle", bytes.len() / 2), ("last", bytes.len() - 1)] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        cases.token(format!("a changed bit in the signature's {name} byte"), joined(signed, &changed));
    }
    cases.token("a signature cut short", joined(signed, &bytes[..bytes.len() - 1]));
    cases.token("a signature that goes on", joined(signed, &[bytes.as_slice(), &[0]].concat()));
    cases.token("a signature of zeros", joined(signed, &vec![0; bytes.len()]));
    // 256 bytes leave four bits of the last character unused: a second spelling of the same signature.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let spare = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
    cases.token("a signature's spare bits set", format!("{}{spare}", &good[..good.len() - 1]));
    let staff = draft.clone().claim("scope", json!("pets:read pets:write staff"));
    cases.token("more scopes under the old signature", joined(&staff.unsigned(), &bytes));
    let later = draft.clone().moved("exp", 3_600);
    cases.token("a later end under the old signature", joined(&later.unsigned(), &bytes));
    let header = draft.clone().header("cty", json!("JWT"));
    cases.token("another header under the old signature", joined(&header.unsigned(), &bytes));
    cases.token("another token's signature", joined(signed, &forge.signature(later.unsigned().as_bytes())));
}

/// What signs an account in, or a collar, takes neither kind's access token in place of its secret.
pub(super) async fn no_token_buys_another(scene: &Scene) {
    let owner = &scene.owner.token;
    for (what, path, body) in [
        (
            "an account's token for a collar's",
            "/v1/collars/token",
            json!({"collar_id": COLLAR, "secret": owner}),
        ),
        (
            "a collar's token for a collar's",
            "/v1/collars/token",
            json!({"collar_id": COLLAR, "secret": scene.device}),
        ),
        (
            "a refresh token for a collar's",
            "/v1/collars/token",
            json!({"collar_id": COLLAR, "secret": scene.owner.refresh}),
        ),
        ("an access token for a session", "/v1/auth/refresh", json!({"refresh_token": owner})),
        ("a collar's token for a session", "/v1/auth/refresh", json!({"refresh_token": scene.device})),
        ("a collar's secret for a session", "/v1/auth/refresh", json!({"refresh_token": scene.secret})),
    ] {
        let answer = scene.client.send(scene.client.request(Method::POST, path, None).json(&body)).await;
        // One that is longer than any secret is told so.
        assert!([400, 401].contains(&answer.status.as_u16()), "{what}: {}", answer.text);
    }
}

fn joined(signed: &str, signature: &[u8]) -> String {
    format!("{signed}.{}", base64url(signature))
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
