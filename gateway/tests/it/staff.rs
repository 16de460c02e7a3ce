//! Where staff is answered, and what it says of why it looks.

use crate::world::World;

#[tokio::test]
async fn only_staffs_reason_goes_on_and_a_bad_one_is_said_so() {
    let world = World::new().await;
    let (staff, other) = (world.staff("staff pets:read", &["support"]), world.account("pets:read"));
    let get = async |header: &str, reasons: &[&str]| {
        let mut headers = vec![("authorization", header)];
        headers.extend(reasons.iter().map(|reason| ("x-access-reason", *reason)));
        world.send("GET", "/v1/pets/p-1", &headers, "").await
    };
    let seen = || {
        let seen = world.services.calls("get_pet").pop().unwrap();
        seen.metadata("x-petty-access-reason").map(str::to_owned)
    };
    assert_eq!(get(&staff, &["ticket 4711: no positions"]).await.status, 200);
    assert_eq!(seen().as_deref(), Some("ticket 4711: no positions"));
    assert_eq!(get(&staff, &[]).await.status, 200);
    assert_eq!(seen(), None);
    assert_eq!(get(&other, &["ticket 4711: no positions"]).await.status, 200);
    assert_eq!(seen(), None, "who is not staff has no reason to say");
    assert_eq!(get(&other, &["short"]).await.status, 200);
    for reasons in [&["short"][..], &[""], &[&"x".repeat(501)], &["one of two reasons", "two of two reasons"]]
    {
        let reply = get(&staff, reasons).await;
        assert_eq!(reply.problem(), (400, "INVALID_ARGUMENT".to_owned()));
        assert_eq!(reply.json()["errors"][0]["field"], "X-Access-Reason");
    }
    // And never by the name that it goes on under.
    let headers = [("authorization", other.as_str()), ("x-petty-access-reason", "ticket 4711: smuggled in")];
    assert_eq!(world.send("GET", "/v1/pets/p-1", &headers, "").await.status, 200);
    assert_eq!(seen(), None);
}

#[tokio::test]
async fn what_is_for_staff_is_on_the_admin_port_and_there_alone() {
    let world = World::new().await;
    let admin = world.staff("staff pets:read", &["admin", "support"]);
    let header = [("authorization", admin.as_str())];
    for (method, target) in [
        ("GET", "/v1/staff"),
        ("OPTIONS", "/v1/staff"),
        ("POST", "/v1/staff/a-1:grantRole"),
        ("GET", "/v1/feedback/stats"),
    ] {
        let body = if method == "POST" { r#"{"role":"SUPPORT"}"# } else { "" };
        let public = world.send(method, target, &header, body).await;
        assert_eq!(
            public.problem(),
            (404, "ROUTE_NOT_FOUND".to_owned()),
            "{method} {target}: as what is not"
        );
        let there = world.send_to_admin(method, target, &header, body).await;
        assert!([200, 204].contains(&there.status), "{method} {target}: {there:?}");
    }
    for target in ["/v1/pets", "/v1/pets/p-1", "/v1/nothing"] {
        let reply = world.send_to_admin("GET", target, &header, "").await;
        assert_eq!(reply.problem(), (404, "ROUTE_NOT_FOUND".to_owned()), "{target}");
    }
    let personal = world.integration("staff");
    let reply = world.send_to_admin("GET", "/v1/staff", &[("authorization", &personal)], "").await;
    assert_eq!(reply.problem().0, 403);
    assert_eq!(world.send_to_admin("GET", "/v1/staff", &[], "").await.problem().0, 401);
    // A service hears from where staff came: it stands in the audit log.
    let seen = world.services.calls("list_staff").pop().unwrap();
    assert_eq!(seen.metadata("x-petty-client-address"), Some("127.0.0.1"));
}
