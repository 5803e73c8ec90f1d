//! Do requests, grants, tokens, letters and downloads keep their promises on both engines?

use affectory_catalog::{
    Account, Applicant, Catalog, DeliveryRow, DownloadEvent, LetterRow, LinkWord, NewAccount, NewLetter, NewRelease,
    NewRequest, NotErased, PackageRow, Project, ProjectConfig, ReleaseItemRow, RequestChange, RequestState, Role,
    Student, back_up, restore,
};
use affectory_core::{FaceId, GrantId, ReleaseId, RequestId, Split, Stop};

use crate::annotating::import_faces;
use crate::engines::{databases, engines, hash, run_sql};

const SEED: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

async fn release(catalog: &Catalog) -> ReleaseId {
    import_faces(catalog, 3).await;
    let new = NewRelease { name: "v1".into(), seed: 1, labels: "happy,sad".into(), parameters: "{}".into() };
    let items: Vec<ReleaseItemRow> = (1..=3)
        .map(|n| ReleaseItemRow { item_idx: n - 1, face_id: FaceId(n as i64), split: Split::Train, expression: None })
        .collect();
    catalog.record_release(&new, &items, async || hash(50), 1).await.unwrap().id
}

async fn person(catalog: &Catalog, name: &str, role: Role) -> Account {
    let email = format!("{name}@uni.org");
    let new = NewAccount { email: &email, name, role, language: "en", password_hash: "x" };
    catalog.insert_account(&new, "t", 1).await.unwrap()
}

fn applicant(name: &str) -> Applicant {
    Applicant {
        name: name.into(),
        email: format!("{name}@uni.org"),
        position: "professor".into(),
        institution: "U".into(),
        purpose: "research".into(),
        ..Applicant::default()
    }
}

fn letter(subject: &str) -> NewLetter {
    NewLetter { recipient: "a@uni.org".into(), subject: subject.into(), body: "https://lab/secret".into() }
}

fn word(n: u64, expires_ms: i64) -> LinkWord {
    LinkWord { sha256: hash(n), expires_ms }
}

async fn ask(catalog: &Catalog, release_id: ReleaseId, name: &str, student: Option<&str>, n: u64) -> RequestId {
    let student = student.map(|name| Student { name: name.into(), email: format!("{name}@uni.org") });
    let new = NewRequest { release_id, applicant: applicant(name), student, link: word(n, 1_000) };
    catalog.insert_request(&new, &[letter("confirm")], 10).await.unwrap()
}

/// Brings a request to where it waits for a reviewer.
async fn submitted(catalog: &Catalog, id: RequestId, owner: &Account) {
    let (agreement, signed, applicant) = (hash(60), hash(61), applicant(&owner.name));
    let number = format!("AFF-{id}");
    let own = RequestChange::Own { account: owner.id, applicant: &applicant, number: &number, agreement: &agreement };
    assert!(catalog.change_request(id, &own, Some(owner), &[], 20).await.unwrap());
    let submit = RequestChange::Submit { signed: &signed, report: "{}" };
    assert!(catalog.change_request(id, &submit, Some(owner), &[], 30).await.unwrap());
}

async fn granted(catalog: &Catalog, release_id: ReleaseId, owner: &Account, lead: &Account) -> GrantId {
    let id = ask(catalog, release_id, &owner.name, None, 70 + owner.id.0 as u64).await;
    submitted(catalog, id, owner).await;
    let seed = hash(80 + owner.id.0 as u64);
    let grant = RequestChange::Grant { seed: seed.as_str(), expires_ms: 5_000, student_link: None };
    assert!(catalog.change_request(id, &grant, Some(lead), &[], 40).await.unwrap());
    catalog.list_own_grants(owner.id).await.unwrap()[0].id
}

#[tokio::test]
async fn a_request_goes_its_way_and_no_step_is_taken_twice() {
    for engine in engines("requests").await {
        let catalog = &engine.catalog;
        let release_id = release(catalog).await;
        let (ada, lead) = (person(catalog, "ada", Role::Researcher).await, person(catalog, "lead", Role::Lead).await);
        let id = ask(catalog, release_id, "ada", Some("stu"), 5).await;
        assert_eq!(catalog.find_request_by_link(&hash(5), 999).await.unwrap().unwrap().id, id);
        assert_eq!(catalog.find_request_by_link(&hash(5), 1_000).await.unwrap(), None, "a link ends");
        let strange = ask(catalog, release_id, "nobody", None, 8).await;
        assert_eq!(catalog.forget_unconfirmed(1_000).await.unwrap(), 0);

        let own = |number| RequestChange::Own {
            account: ada.id,
            applicant: Box::leak(Box::new(applicant("ada"))),
            number,
            agreement: Box::leak(Box::new(hash(60))),
        };
        let take_over = catalog.change_request(id, &own("A"), Some(&ada), &[letter("x")], 15).await.unwrap();
        assert!(!take_over, "nobody owns a student's request before the student's address is confirmed");
        let link = word(6, 2_000);
        let to_supervisor = RequestChange::ToSupervisor(&link);
        assert!(catalog.change_request(id, &to_supervisor, None, &[], 16).await.unwrap());
        assert!(!catalog.change_request(id, &to_supervisor, None, &[], 17).await.unwrap());
        assert_eq!(catalog.find_request_by_link(&hash(5), 20).await.unwrap(), None, "the student's link is used up");
        submitted(catalog, id, &ada).await;
        assert_eq!(catalog.find_request_by_link(&hash(6), 20).await.unwrap(), None);
        assert_eq!(catalog.forget_unconfirmed(1_001).await.unwrap(), 1, "what nobody confirmed");
        assert_eq!(catalog.find_request(strange).await.unwrap(), None);

        assert!(catalog.change_request(id, &RequestChange::AskBack("why?"), Some(&lead), &[], 31).await.unwrap());
        let student_link = word(7, 9_000);
        let grant = RequestChange::Grant { seed: SEED, expires_ms: 5_000, student_link: Some(&student_link) };
        assert!(!catalog.change_request(id, &grant, Some(&lead), &[], 32).await.unwrap(), "a question is open");
        assert!(catalog.change_request(id, &RequestChange::Answer("so"), Some(&ada), &[], 33).await.unwrap());
        let notes = catalog.list_request_notes(id).await.unwrap();
        assert_eq!(
            notes.iter().map(|note| (note.is_owner, &*note.text)).collect::<Vec<_>>(),
            [(false, "why?"), (true, "so")]
        );

        // Of two who decide at once, one does.
        let no = RequestChange::Refuse("no");
        let letters = [[letter("yes")], [letter("no")]];
        let both = tokio::join!(
            catalog.change_request(id, &grant, Some(&lead), &letters[0], 40),
            catalog.change_request(id, &no, Some(&lead), &letters[1], 40)
        );
        let (yes, no) = (both.0.unwrap(), both.1.unwrap());
        assert!(yes != no);
        let state = catalog.find_request(id).await.unwrap().unwrap().state;
        assert_eq!(state, if yes { RequestState::Granted } else { RequestState::Refused });
        assert_eq!(catalog.list_own_grants(ada.id).await.unwrap().len(), usize::from(yes));
        let letters = catalog.list_letters(9).await.unwrap();
        let decisions: Vec<&str> =
            letters.iter().map(|row| &*row.letter.subject).filter(|s| ["yes", "no"].contains(s)).collect();
        assert_eq!(decisions, [if yes { "yes" } else { "no" }]);
        assert_eq!(catalog.list_waiting_times(9).await.unwrap(), [7]);
        assert_eq!(catalog.verify_audit().await.unwrap().map(|n| n > 8), Ok(true));
    }
}

#[tokio::test]
async fn a_grant_holds_for_its_owner_and_members_until_it_ends() {
    for engine in engines("grants").await {
        let catalog = &engine.catalog;
        let release_id = release(catalog).await;
        let (ada, lead) = (person(catalog, "ada", Role::Researcher).await, person(catalog, "lead", Role::Lead).await);
        let (sam, eve) =
            (person(catalog, "sam", Role::Researcher).await, person(catalog, "eve", Role::Researcher).await);
        let grant = granted(catalog, release_id, &ada, &lead).await;
        let holds = async |account: &Account, now_ms| {
            catalog.find_open_grant(grant, account.id, now_ms).await.unwrap().is_some()
        };
        assert!(holds(&ada, 100).await && !holds(&eve, 100).await && !holds(&lead, 100).await);
        assert!(!holds(&ada, 5_000).await, "it has expired");

        let student = Student { name: "Sam".into(), email: "sam@uni.org".into() };
        let link = word(90, 200);
        assert!(catalog.invite_member(grant, &student, &link, &ada, &[letter("join")], 100).await.unwrap());
        assert!(
            !catalog.invite_member(grant, &student, &word(91, 200), &ada, &[], 100).await.unwrap(),
            "named already"
        );
        assert!(!holds(&sam, 100).await, "the terms are not accepted yet");
        assert_eq!(catalog.find_member_by_link(&hash(90), 200).await.unwrap(), None, "a link ends");
        let (member, _) = catalog.find_member_by_link(&hash(90), 150).await.unwrap().unwrap();
        assert!(catalog.accept_membership(&member, &sam, 150).await.unwrap());
        assert!(!catalog.accept_membership(&member, &eve, 151).await.unwrap(), "a link opens once");
        assert!(holds(&sam, 160).await && !holds(&eve, 160).await);
        assert!(catalog.remove_member(grant, member.id, &ada, 170).await.unwrap());
        assert!(!holds(&sam, 180).await);

        let token = word(95, 400);
        catalog.insert_token(&ada, "cluster", &token, 100).await.unwrap();
        assert_eq!(catalog.find_token(&hash(95), 399).await.unwrap().unwrap().id, ada.id);
        assert_eq!(catalog.find_token(&hash(95), 400).await.unwrap(), None);
        let tokens = catalog.list_tokens(ada.id).await.unwrap();
        assert!(!catalog.revoke_token(tokens[0].id, &eve, 200).await.unwrap(), "another's token");
        assert!(catalog.revoke_token(tokens[0].id, &ada, 200).await.unwrap());
        assert_eq!(catalog.find_token(&hash(95), 210).await.unwrap(), None);

        assert!(catalog.ask_renewal(grant, &ada, &[], 300).await.unwrap());
        assert!(catalog.renew_grant(grant, 9_000, &lead, &[], 310).await.unwrap());
        assert!(holds(&ada, 6_000).await);
        assert!(catalog.revoke_grant(grant, "leaked", &lead, &[letter("ended")], 320).await.unwrap());
        assert!(!catalog.revoke_grant(grant, "again", &lead, &[letter("ended")], 330).await.unwrap());
        assert!(!catalog.renew_grant(grant, 99_000, &lead, &[], 340).await.unwrap(), "what was revoked stays so");
        assert!(!holds(&ada, 350).await);
        let n_letters =
            catalog.list_letters(99).await.unwrap().iter().filter(|row| row.letter.subject == "ended").count();
        assert_eq!(n_letters, 1);
    }
}

#[tokio::test]
async fn who_took_a_package_with_a_picture_is_told_when_it_is_withdrawn_and_nobody_else() {
    for engine in engines("holders").await {
        let catalog = &engine.catalog;
        let release_id = release(catalog).await;
        let (ada, lead) = (person(catalog, "ada", Role::Researcher).await, person(catalog, "lead", Role::Lead).await);
        let bob = person(catalog, "bob", Role::Researcher).await;
        let (took, did_not) =
            (granted(catalog, release_id, &ada, &lead).await, granted(catalog, release_id, &bob, &lead).await);
        let package = catalog.record_package(release_id, 1, 0, 10, 50).await.unwrap();
        let copy =
            DeliveryRow { archive_sha256: hash(1), archive_bytes: 10, manifest_sha256: hash(2), manifest_bytes: 5 };
        for grant in [took, did_not] {
            catalog.record_delivery(grant, package.id, &copy, 55).await.unwrap();
        }
        assert_eq!(catalog.find_delivery(took).await.unwrap().unwrap(), (package.clone(), copy));
        let begun = |grant, account: &Account, package: &PackageRow, n_bytes, at_ms| DownloadEvent::Begun {
            grant,
            account: account.id,
            package: package.id,
            file: "a".into(),
            first_byte: 0,
            n_bytes,
            at_ms,
        };
        let begins = [begun(took, &ada, &package, 7, 60), begun(took, &ada, &package, 3, 60)];
        let ids = catalog.record_downloads(&begins).await.unwrap();
        assert_eq!(catalog.count_downloaded(took, 0).await.unwrap(), 10, "what is under way counts as a whole");
        let ended = |id, sent_bytes| DownloadEvent::Ended { id, sent_bytes, at_ms: 61 };
        // Each event's row is told in the event's place.
        let told = catalog.record_downloads(&[ended(ids[0], 1), ended(ids[1], 3)]).await.unwrap();
        assert_eq!(told, ids);
        assert_eq!(catalog.count_downloaded(took, 0).await.unwrap(), 4);
        let listed = catalog.list_downloads(took, 9).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|row| (row.id, row.n_bytes, row.sent_bytes)).collect();
        assert_eq!(listed, [(ids[1], 3, Some(3)), (ids[0], 7, Some(1))]);

        let tell = |holder: &affectory_catalog::Holder| Some(letter(&format!("takedown {}", holder.person.email)));
        let told = async || {
            let letters = catalog.list_letters(99).await.unwrap();
            letters.into_iter().map(|row| row.letter.subject).filter(|s| s.starts_with("takedown")).collect::<Vec<_>>()
        };
        catalog.withdraw_image_telling(&hash(2), "asked", "t", tell, 70).await.unwrap();
        assert_eq!(told().await, ["takedown ada@uni.org"]);
        catalog.withdraw_image_telling(&hash(2), "again", "t", tell, 75).await.unwrap();
        assert_eq!(told().await.len(), 1, "nobody is told twice");
        assert_eq!(catalog.count_withdrawn(release_id).await.unwrap(), 1);
        // A copy of the next revision never had it.
        let package = catalog.record_package(release_id, 2, 1, 9, 80).await.unwrap();
        catalog.record_downloads(&[begun(did_not, &bob, &package, 9, 90)]).await.unwrap();
        let holders = catalog.list_holders(&hash(2)).await.unwrap();
        assert_eq!(holders.iter().map(|holder| holder.grant_id).collect::<Vec<_>>(), [took]);
        assert_eq!(catalog.find_delivery(took).await.unwrap(), None, "the newest revision is not prepared yet");
    }
}

/// All letters that are due.
async fn claim_letters(catalog: &Catalog, now_ms: i64) -> Vec<LetterRow> {
    let mut due = Vec::new();
    while let Some(row) = catalog.claim_letter(now_ms, now_ms + 1_000).await.unwrap() {
        due.push(row);
    }
    due
}

#[tokio::test]
async fn a_letter_is_one_servers_to_send_until_that_one_must_be_dead() {
    for engine in engines("claimed").await {
        let (one, other) = (&engine.catalog, &Catalog::connect(&engine.url).await.unwrap());
        let letters: Vec<NewLetter> = (0..20).map(|n| letter(&n.to_string())).collect();
        one.queue_letters(&letters, 10).await.unwrap();
        let claim = async |catalog: &Catalog| {
            let mut claimed = Vec::new();
            // Who asked in the same moment as the other may have got nothing, and asks again.
            for _ in 0..60 {
                claimed.extend(catalog.claim_letter(10, 1_000).await.unwrap().map(|row| row.id));
            }
            claimed
        };
        let (mut claimed, others) = tokio::join!(claim(one), claim(other));
        claimed.extend(others);
        claimed.sort_unstable();
        assert_eq!(claimed, (1..=20).collect::<Vec<i64>>(), "each once");
        assert_eq!(other.claim_letter(999, 2_000).await.unwrap(), None);
        assert_eq!(other.claim_letter(1_000, 2_000).await.unwrap().map(|row| row.id), Some(1));
    }
}

#[tokio::test]
async fn two_servers_remind_of_a_request_once() {
    for engine in engines("reminded").await {
        let (one, other) = (&engine.catalog, &Catalog::connect(&engine.url).await.unwrap());
        let release_id = release(one).await;
        for n in 0..10 {
            ask(one, release_id, &format!("ada{n}"), None, n).await;
        }
        let write = |_: &affectory_catalog::RequestRow| vec![letter("reminder")];
        let remind = |catalog: &Catalog| {
            let catalog = catalog.clone();
            async move { catalog.remind(RequestState::Unconfirmed, 5_000, write, 9_000).await.unwrap() }
        };
        let (first, second) = tokio::join!(remind(one), remind(other));
        assert_eq!(first + second, 10);
        let letters = one.list_letters(99).await.unwrap();
        assert_eq!(letters.iter().filter(|row| row.letter.subject == "reminder").count(), 10);
    }
}

#[tokio::test]
async fn a_letter_is_sent_as_often_as_it_takes_and_its_links_go_with_it() {
    for engine in engines("letters").await {
        let catalog = &engine.catalog;
        catalog.queue_letters(&[letter("one"), letter("two")], 10).await.unwrap();
        let due = claim_letters(catalog, 10).await;
        assert_eq!(due.iter().map(|row| &*row.letter.subject).collect::<Vec<_>>(), ["one", "two"]);
        catalog.letter_failed(due[0].id, "no route", Some(50)).await.unwrap();
        catalog.letter_sent(due[1].id, 20).await.unwrap();
        assert!(claim_letters(catalog, 49).await.is_empty());
        let again = claim_letters(catalog, 50).await;
        assert_eq!((again[0].n_attempts, again[0].last_error.as_deref()), (1, Some("no route")));
        let sent = catalog.list_letters(9).await.unwrap().into_iter().find(|row| row.sent_ms.is_some()).unwrap();
        assert_eq!(sent.letter.body, "");
    }
}

#[tokio::test]
async fn a_forgotten_person_is_in_no_row_and_the_audit_log_still_fits() {
    for engine in engines("forgotten").await {
        let catalog = &engine.catalog;
        let release_id = release(catalog).await;
        let lead = person(catalog, "lead", Role::Administrator).await;
        let ada = person(catalog, "adalovelace", Role::Researcher).await;
        let grant = granted(catalog, release_id, &ada, &lead).await;
        let mine = NewLetter { recipient: ada.email.clone(), ..letter("Dear adalovelace") };
        catalog.queue_letters(&[mine], 50).await.unwrap();
        let known = catalog.export_person(&ada.email).await.unwrap();
        for table in ["account", "requests", "grants", "letters", "audit"] {
            assert!(known[table].as_array().is_some_and(|rows| !rows.is_empty()), "{table}: {known}");
        }
        assert!(!known.to_string().contains("password"));
        assert_eq!(catalog.erase_person(&ada.email, 60).await.unwrap(), Err(NotErased::HasAccess));
        assert_eq!(catalog.erase_person(&lead.email, 60).await.unwrap(), Err(NotErased::LastAdministrator));
        assert_eq!(catalog.erase_person("nobody@uni.org", 60).await.unwrap(), Err(NotErased::Unknown));
        catalog.revoke_grant(grant, "asked to be forgotten", &lead, &[], 61).await.unwrap();
        let objects = catalog.erase_person(&ada.email, 62).await.unwrap().unwrap();
        assert_eq!(objects, [hash(60), hash(61)], "the agreements are to go");
        assert_eq!(catalog.find_login(&ada.email).await.unwrap(), None);
        let left = catalog.export_person(&ada.email).await.unwrap();
        for table in ["account", "requests", "memberships", "letters", "withdrawals"] {
            assert_eq!(left[table], serde_json::json!([]), "{table}");
        }
        assert_eq!(catalog.list_grants().await.unwrap().len(), 1, "that there was a grant stays");
        assert!(catalog.list_audit(None, 99).await.unwrap().iter().all(|row| !format!("{row:?}").contains("lovelace")));
        assert!(matches!(catalog.verify_audit().await.unwrap(), Ok(n) if n > 5));
    }
}

/// What was acknowledged before a copy was begun is in it with its bytes, whatever came in meanwhile; and all that is in it is
/// whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_while_agreements_come_in_loses_none_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::init(&folder.path().join("p"), ProjectConfig::default()).await.unwrap();
    let catalog = &project.catalog;
    let release_id = release(catalog).await;
    let ada = person(catalog, "ada", Role::Researcher).await;
    let hand_in = async |n: u64| {
        let id = ask(catalog, release_id, "ada", None, 1_000 + n).await;
        let object = project.store.put(format!("signed {n}").into_bytes().into()).await.unwrap();
        project.store.flush().await.unwrap();
        let (number, applicant) = (format!("AFF-{n}"), applicant("ada"));
        let own = RequestChange::Own { account: ada.id, applicant: &applicant, number: &number, agreement: &object };
        assert!(catalog.change_request(id, &own, Some(&ada), &[], 20).await.unwrap());
        let submit = RequestChange::Submit { signed: &object, report: "{}" };
        assert!(catalog.change_request(id, &submit, Some(&ada), &[], 30).await.unwrap());
        id
    };
    let mut acknowledged = Vec::new();
    for n in 0..10 {
        acknowledged.push(hand_in(n).await);
    }
    let to = folder.path().join("copy");
    let more = async {
        for n in 10..40 {
            hand_in(n).await;
        }
    };
    let on = Stop::default();
    let (copied, ()) = tokio::join!(back_up(&project, &to, &on), more);
    copied.unwrap();
    let (restored, _) = restore(&to, &folder.path().join("again"), &Stop::default()).await.unwrap();
    for id in acknowledged {
        let request = restored.catalog.find_request(id).await.unwrap().unwrap();
        restored.store.read(&request.signed_sha256.unwrap()).await.unwrap();
    }
    for object in restored.catalog.list_agreement_objects().await.unwrap() {
        restored.store.read(&object).await.unwrap();
    }
    assert!(restored.catalog.verify_audit().await.unwrap().is_ok());
    // The next night brings what is new, and only that.
    let again = back_up(&project, &to, &Stop::default()).await.unwrap();
    assert!(again.n_files <= 30, "{again:?}");
    let stopped = Stop::default();
    stopped.request();
    assert!(back_up(&project, &to, &stopped).await.is_err());
    assert!(restore(&to, &folder.path().join("again"), &Stop::default()).await.is_err(), "nothing is written over");
}

#[tokio::test]
async fn a_catalogue_of_version_4_is_brought_forward_with_its_data() {
    for (url, _folder) in databases("version_4").await {
        let is_sqlite = url.starts_with("sqlite:");
        let (identity, engine) = match is_sqlite {
            true => ("integer primary key", include_str!("../../migrations/0001_the_way.sqlite.sql")),
            false => (
                "bigint generated always as identity primary key",
                include_str!("../../migrations/0001_the_way.postgres.sql"),
            ),
        };
        for script in [
            include_str!("../../migrations/0001_the_way.sql"),
            engine,
            include_str!("../../migrations/0002_collect.sql"),
            include_str!("../../migrations/0003_faces_behind.sql"),
            include_str!("../../migrations/0004_annotate.sql"),
            "create table schema_version (version bigint primary key);
             insert into schema_version (version) values (1), (2), (3), (4);
             insert into account (email, name, role, created_ms) values ('a@b.c', 'A', 'lead', 1);
             insert into release (name, manifest_sha256, seed, labels, parameters, n_items, built_ms)
             values ('v1', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1, 'happy,sad', '{}', 0, 1);",
        ] {
            run_sql(&url, &script.replace("{identity}", identity)).await;
        }
        let catalog = Catalog::connect(&url).await.unwrap();
        let releases = catalog.list_releases().await.unwrap();
        let id = ask(&catalog, releases[0].id, "ada", None, 5).await;
        assert_eq!(catalog.find_request(id).await.unwrap().unwrap().release, "v1");
        assert_eq!(catalog.count_accounts().await.unwrap(), 1);
    }
}
