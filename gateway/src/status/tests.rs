use tonic_types::{ErrorDetails, FieldViolation};

use super::*;

fn ours(code: Code, reason: &str, text: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, "petty", std::collections::HashMap::new());
    Status::with_error_details(code, text, details)
}

#[test]
fn every_code_has_its_status() {
    for (code, http) in [
        (Code::InvalidArgument, 400),
        (Code::OutOfRange, 400),
        (Code::Unauthenticated, 401),
        (Code::PermissionDenied, 403),
        (Code::NotFound, 404),
        (Code::AlreadyExists, 409),
        (Code::Aborted, 409),
        (Code::FailedPrecondition, 409),
        (Code::ResourceExhausted, 429),
        (Code::Cancelled, 499),
        (Code::Unavailable, 503),
        (Code::DeadlineExceeded, 504),
        (Code::Unknown, 500),
        (Code::Unimplemented, 500),
        (Code::Internal, 500),
        (Code::DataLoss, 500),
    ] {
        assert_eq!(problem(&Status::new(code, "relation \"pets\"")).status, http, "{code:?}");
    }
}

#[test]
fn an_upstreams_own_text_never_passes() {
    for code in 1..=16 {
        let code = Code::from_i32(code);
        let told = problem(&Status::new(code, "relation \"pets\" does not exist"));
        assert!(!format!("{told:?}").contains("pets"), "{code:?}");
    }
    for code in [Code::Internal, Code::Unavailable, Code::DeadlineExceeded, Code::Unknown] {
        let told = problem(&ours(code, "DATABASE_ON_FIRE", "10.0.0.7:5432 refused"));
        assert!(!format!("{told:?}").contains("10.0.0.7"), "{code:?}");
        assert_ne!(told.code, "DATABASE_ON_FIRE");
    }
}

#[test]
fn what_a_service_says_to_clients_passes() {
    let told = problem(&ours(Code::NotFound, "PET_NOT_FOUND", "no such pet"));
    assert_eq!((told.code.as_ref(), told.detail.as_ref()), ("PET_NOT_FOUND", "No such pet."));
    let told = problem(&ours(Code::Unavailable, "UPSTREAM_UNAVAILABLE", "x"));
    assert_eq!(told.code, "UPSTREAM_UNAVAILABLE");
    assert_eq!(problem(&ours(Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED", "x")).status, 422);
}

#[test]
fn fields_at_fault_pass() {
    let mut details = ErrorDetails::new();
    details.set_error_info("INVALID_ARGUMENT", "petty", std::collections::HashMap::new());
    details.set_bad_request(vec![FieldViolation::new("heart_rate", "must be 30 to 300")]);
    let told = problem(&Status::with_error_details(Code::InvalidArgument, "no", details));
    assert_eq!(told.errors, [FieldFault::new("heart_rate", "must be 30 to 300")]);
}

#[test]
fn a_gateway_that_is_refused_itself_is_our_fault() {
    assert_eq!(problem(&ours(Code::Unauthenticated, "SERVICE_UNKNOWN", "x")).status, 500);
    assert_eq!(problem(&ours(Code::PermissionDenied, "SERVICE_NOT_ALLOWED", "x")).status, 500);
}

#[test]
fn those_who_may_come_back_are_told_when() {
    let header =
        |problem: &Problem| problem.headers.iter().find(|(name, _)| name == RETRY_AFTER).unwrap().1.clone();
    assert_eq!(header(&problem(&Status::unavailable("x"))), "1");
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(Duration::from_millis(2_500)));
    let status = Status::with_error_details(Code::ResourceExhausted, "x", details);
    assert_eq!(header(&problem(&status)), "3");
}
