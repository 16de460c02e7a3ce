use super::*;

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, allow: String::new(), body: body.to_owned().into() }
}

fn pair(shape: &str, petty: Reply, envoy: Reply) -> Pair {
    let routes = routes::all(&service::pool().unwrap()).unwrap();
    let case = requests::of(&routes[0]).unwrap().remove(0);
    let nothing = |reply| Outcome { reply, asked: None };
    Pair { case: Case { shape: shape.to_owned(), ..case }, petty: nothing(petty), envoy: nothing(envoy) }
}

#[test]
fn every_route_is_asked_for_in_every_shape_and_there_are_more_than_enough() {
    let pool = service::pool().unwrap();
    let routes = routes::all(&pool).unwrap();
    let mut requests = 0;
    for route in &routes {
        let cases = requests::of(route).unwrap();
        assert!(cases.iter().any(|case| case.shape == "as it should be"), "{}", route.template);
        assert!(cases.iter().all(|case| !case.target.contains('{')), "{}", route.template);
        requests += cases.len();
    }
    assert!(requests >= FEWEST, "{requests}");
}

#[test]
fn numbers_are_compared_by_value_and_all_else_to_the_letter() {
    for (one, other, alike) in [
        (r#"{"a":0.0,"b":[1]}"#, r#"{"b":[1.0],"a":0}"#, true),
        (r#"{"a":"x"}"#, r#"{"a":"\u0078"}"#, true),
        (r#"{"a":1}"#, r#"{"a":"1"}"#, false),
        (r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false),
        (r#"{"t":"2026-01-31T12:00:00.12Z"}"#, r#"{"t":"2026-01-31T12:00:00.120Z"}"#, false),
    ] {
        let found = rules::differences(&pair("as it should be", reply(200, one), reply(200, other)));
        assert_eq!(found.is_empty(), alike, "{one} {other} {found:?}");
    }
}

#[test]
fn the_table_takes_the_place_of_the_one_before_and_nothing_else() {
    let page = "# A\n<!-- written by `cargo petty eval gateway` -->\nold\n<!-- until here -->\nb\n";
    let written = page::with_table(page, "new\n").unwrap();
    assert_eq!(written, page.replace("old", "new"));
    assert!(page::with_table("# A\n", "new").is_err());
}
