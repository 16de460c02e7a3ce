//! What was said, as it is read.

use petty_chassis::access::Role;
use petty_proto::feedback::v1::feedback::Verdict;
use petty_proto::feedback::v1::{ListFeedbackRequest, SubmitFeedbackRequest};
use petty_testbench::{at, fields, reason};
use tonic::Code;

use crate::bench::{Bench, Told, listing, submission};

#[tokio::test]
async fn words_are_listed_newest_first_with_whose_they_are() {
    let bench = Bench::new("listing").await;
    let (pet, owner, told) = bench.told_pet(1).await;
    let other = bench.account_id();
    bench.access.share(pet, other, Role::Caregiver);
    for (account, seconds, text) in [(owner, -60, "one"), (other, -30, "two"), (owner, -90, "three")] {
        let request =
            SubmitFeedbackRequest { timestamp: Some(at(seconds).into()), ..submission(&told, text) };
        bench.submit(account, request).await.unwrap();
    }
    // Of another event.
    let another = Told::new(pet, 2);
    bench.tell(&another).await;
    bench.say(owner, &another, Verdict::Wrong).await;
    let found = bench.list(owner, listing(&told)).await.unwrap().feedback;
    let words: Vec<_> = found.iter().map(|said| (said.comment.as_deref().unwrap(), said.mine)).collect();
    assert_eq!(words, [("two", false), ("one", true), ("three", true)]);
    assert_eq!(found[0].create_time, Some(at(-30).into()));
}

#[tokio::test]
async fn pages_cover_everything_once_though_more_is_said() {
    let bench = Bench::new("pages").await;
    let (_, account, told) = bench.told_pet(1).await;
    for nth in 0..20 {
        // Two of each time.
        bench.clock.set(at(nth / 2));
        bench.say(account, &told, Verdict::Wrong).await;
    }
    let whole = bench.list(account, ListFeedbackRequest { page_size: 20, ..listing(&told) }).await.unwrap();
    assert_eq!((whole.feedback.len(), whole.next_page_token.as_str()), (20, ""));
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListFeedbackRequest { page_size: 3, page_token, ..listing(&told) };
        let page = bench.list(account, request).await.unwrap();
        found.extend(page.feedback);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        bench.clock.set(at(100));
        bench.say(account, &told, Verdict::Correct).await;
    }
    assert_eq!(found, whole.feedback);
    // A page of one event is none of another.
    let page = bench.list(account, ListFeedbackRequest { page_size: 3, ..listing(&told) }).await.unwrap();
    let other = Told::new(told.pet, 2);
    let request = ListFeedbackRequest { page_token: page.next_page_token, ..listing(&other) };
    assert_eq!(fields(&bench.list(account, request).await.unwrap_err()), ["page_token"]);
}

#[tokio::test]
async fn everything_wrong_with_a_listing_is_named() {
    let bench = Bench::new("listing_faults").await;
    let account = bench.account_id();
    let request =
        ListFeedbackRequest { event_id: "rex".to_owned(), page_size: -1, page_token: "?".to_owned() };
    let status = bench.list(account, request).await.unwrap_err();
    assert_eq!(fields(&status), ["event_id", "page_size", "page_token"]);
    let status = bench.list(account, ListFeedbackRequest::default()).await.unwrap_err();
    assert_eq!(fields(&status), ["event_id"]);
}

#[tokio::test]
async fn who_lost_the_pet_lost_its_events() {
    let bench = Bench::new("unshared").await;
    let (pet, _, told) = bench.told_pet(1).await;
    let other = bench.account_id();
    bench.access.share(pet, other, Role::Viewer);
    bench.list(other, listing(&told)).await.unwrap();
    bench.access.unshare(pet, other);
    let status = bench.list(other, listing(&told)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "EVENT_NOT_FOUND"));
}
