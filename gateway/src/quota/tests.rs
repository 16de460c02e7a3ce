use petty_chassis::config::{Environment, load};

use super::*;
use crate::config::GatewayConfig;

fn read(name: &'static str, text: &str) -> Result<Rates, Vec<String>> {
    let environment = Environment::from_iter([(name, text.to_owned())]);
    load::<GatewayConfig>(&environment)
        .map(|config| config.rates)
        .map_err(|faults| faults.iter().map(str::to_owned).collect())
}

#[test]
fn a_rate_is_a_number_and_a_window() {
    let rate = Some(Rate { quota: 5, window: Duration::from_secs(10) });
    assert_eq!(read("PETTY_RATE_READ", " 5/10s ").unwrap().read, rate);
    assert_eq!(read("PETTY_RATE_SOURCE", "off").unwrap().source, None);
    assert_eq!(
        read("PETTY_RATE_WRITE", "7/1h").unwrap(),
        Rates { write: Some(Rate { quota: 7, window: Duration::from_secs(3_600) }), ..Rates::default() }
    );
    for wrong in ["600", "0/1m", "-1/1m", "1/2m", "many/1m", "5/"] {
        let faults = read("PETTY_RATE_CREDENTIALS", wrong).expect_err(wrong);
        assert!(faults.iter().any(|fault| fault.starts_with("PETTY_RATE_CREDENTIALS")), "{faults:?}");
    }
}

fn few() -> Quotas {
    let rate = Some(Rate { quota: 3, window: Duration::from_secs(60) });
    Quotas::alone(Rates { read: rate, source: rate, ..Rates::unlimited() })
}

#[tokio::test(start_paused = true)]
async fn a_quota_is_its_callers_own_and_of_one_class() {
    let quotas = few();
    for left in ["2", "1", "0"] {
        let standing = quotas.take(RateClass::Read, Who::Caller("a")).await.unwrap().unwrap();
        assert_eq!(standing.policy, "\"read\";q=3;w=60");
        assert!(standing.limit.to_str().unwrap().starts_with(&format!("\"read\";r={left};t=")));
    }
    let refused = quotas.take(RateClass::Read, Who::Caller("a")).await.unwrap_err();
    assert_eq!(refused.problem.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.problem.headers, [(RETRY_AFTER, HeaderValue::from_static("20"))]);
    assert_eq!(refused.standing.limit, "\"read\";r=0;t=60");
    assert!(quotas.take(RateClass::Read, Who::Caller("b")).await.is_ok());
    assert!(quotas.take(RateClass::Read, Who::Source([192, 0, 2, 1].into())).await.is_ok());
    assert!(quotas.take(RateClass::Write, Who::Caller("a")).await.unwrap().is_none(), "not limited");
    // The answer was true.
    tokio::time::advance(Duration::from_millis(19_900)).await;
    assert!(quotas.take(RateClass::Read, Who::Caller("a")).await.is_err());
    tokio::time::advance(Duration::from_millis(200)).await;
    assert!(quotas.take(RateClass::Read, Who::Caller("a")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_subscriber_of_ipv6_is_one_source() {
    let quotas = few();
    for host in 1..=3_u128 {
        let address = Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) | (host << 40) >> 8);
        assert!(quotas.source(address.into()).await.is_ok(), "{address}");
    }
    let other: IpAddr = "2001:db8::ffff".parse().unwrap();
    assert!(quotas.source(other).await.is_err());
    assert!(quotas.source("2001:db8:0:1::1".parse().unwrap()).await.is_ok());
    assert!(quotas.source("::ffff:192.0.2.1".parse().unwrap()).await.is_ok());
    assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), network("192.0.2.1".parse().unwrap()));
}
