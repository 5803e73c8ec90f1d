//! Do the bundled files say what they should, and what happens to files that do not?

use std::collections::{BTreeSet, HashSet};

use affectory_core::Expression;

use super::*;

fn bundled_plan(options: PlanOptions) -> Vec<PlannedQuery> {
    Keywords::bundled().expect("the bundled files are right").plan(&options).expect("the languages exist")
}

fn texts(language: &str) -> HashSet<String> {
    let options = PlanOptions { languages: vec![language.to_owned()], ..PlanOptions::default() };
    bundled_plan(options).into_iter().map(|query| query.text).collect()
}

#[track_caller]
fn check(language: &str, asked: &[&str], never: &[&str]) {
    let texts = texts(language);
    for text in asked {
        assert!(texts.contains(*text), "{language} lacks `{text}`");
    }
    for text in never {
        assert!(!texts.contains(*text), "{language} has `{text}`");
    }
}

#[test]
fn words_stand_in_the_order_and_the_forms_of_their_language() {
    check(
        "en",
        &["angry woman", "happy Asian woman", "man yelling in anger", "facial expression of disgust"],
        &["contemptuous baby", "neutral woman", "woman angry"],
    );
    check(
        "de",
        &[
            "wütender Mann",
            "wütende Frau",
            "wütendes Kind",
            "trauriger asiatischer Mann",
            "überraschter junger Mann",
            "Frau mit wütendem Gesichtsausdruck",
            "ängstliches Gesicht",
            "Person ekelt sich",
        ],
        &["wütender Frau", "wütende Mann", "wütende Mädchen", "verächtliche Frau"],
    );
    check(
        "es",
        &[
            "mujer asiática enfadada",
            "hombre asiático enfadado",
            "persona furiosa",
            "bebé asustado",
            "cara seria",
            "rostro serio",
            "mujer con cara de asco",
        ],
        &["mujer enfadado", "rostro llorando", "bebé altivo"],
    );
    check(
        "pt",
        &[
            "menina assustada",
            "menino assustado",
            "mulher europeia com raiva",
            "criança enojada",
            "expressão facial neutra",
        ],
        &["mulher assustado", "rosto com medo"],
    );
    check(
        "ar",
        &[
            "امرأة غاضبة",
            "رجل غاضب",
            "امرأة آسيوية حزينة",
            "طفل يبكي",
            "امرأة مسنة سعيدة",
            "وجه خائف",
            "ملامح غاضبة",
            "ملامح الغضب",
        ],
        &["امرأة غاضب", "رجل غاضبة", "وجه يبكي", "غاضبة امرأة"],
    );
    check(
        "fa",
        &["زن عصبانی", "چهره خوشحال", "مرد ایرانی غمگین", "نوزاد در حال گریه", "حالت چهره ترس"],
        &["عصبانی زن", "نوزاد مغرور"],
    );
}

#[test]
fn the_bundled_files_fill_every_cell_and_ask_nothing_twice() {
    let plan = bundled_plan(PlanOptions::default());
    let distinct: HashSet<(&str, String)> =
        plan.iter().map(|query| (query.language.code.as_str(), query.text.to_lowercase())).collect();
    assert_eq!(distinct.len(), plan.len());
    let table = plan_table(&plan);
    assert!((2_500..=6_000).contains(&table.total()), "{}", table.total());
    assert_eq!(table.rows.len(), 6);
    for row in &table.rows {
        assert!(row.total() >= 200, "{} has {}", row.language.code, row.total());
        assert!(row.counts.iter().all(|&n| n >= 15), "{} has {:?}", row.language.code, row.counts);
        assert!(row.language.negatives.len() >= 8);
    }
    for query in &plan {
        let negatives: String = query.negatives().iter().map(|term| format!(" -\"{term}\"")).collect();
        let whole = format!("{}{negatives}", query.text);
        assert!(whole.chars().count() <= 400 && whole.split_whitespace().count() <= 50, "{whole}");
    }
}

/// Expanding drops what another expression asked before; here each expression is expanded alone, and none loses any.
#[test]
fn no_bundled_text_is_meant_for_two_expressions() {
    for (name, text) in BUNDLED {
        let path = Path::new(name);
        let mut file = file::parse(path, text.as_bytes()).expect("bundled");
        let all = expand::expand(path, &file).expect("bundled").len();
        let emotions = std::mem::take(&mut file.emotions);
        let alone = Expression::ALL.into_iter().filter(|e| e.is_affective()).map(|expression| {
            file.emotions = emotions.iter().filter(|emotion| emotion.expression == expression).cloned().collect();
            expand::expand(path, &file).expect("bundled").len()
        });
        assert_eq!(alone.sum::<usize>(), all, "{name}");
    }
}

#[test]
fn a_limit_takes_a_balanced_choice_that_its_seed_fixes() {
    let limited = |limit, seed| bundled_plan(PlanOptions { limit: Some(limit), seed, ..PlanOptions::default() });
    let ten = limited(10, 7);
    assert_eq!(ten.len(), 6 * 8 * 10);
    assert_eq!(ten, limited(10, 7));
    assert_ne!(ten, limited(10, 8));
    let eleven: HashSet<String> = limited(11, 7).into_iter().map(|query| query.text).collect();
    assert!(ten.iter().all(|query| eleven.contains(&query.text)), "a larger limit adds to a smaller");
    let german = PlanOptions {
        languages: vec!["de".to_owned()],
        expressions: vec![Expression::Anger],
        limit: Some(10),
        seed: 7,
    };
    let alone = bundled_plan(german);
    let part: Vec<_> =
        ten.iter().filter(|q| q.language.code == "de" && q.expression == Expression::Anger).cloned().collect();
    assert_eq!(alone, part, "other languages and expressions move nothing");
    let ages: BTreeSet<_> = alone.iter().filter_map(|query| Some(query.person.as_ref()?.age)).collect();
    assert!(ages.len() >= 4, "{alone:?}");
}

/// The least that is a language.
const SORBIAN: &str = r#"code = "hsb"
name = "Upper Sorbian"
native_name = "hornjoserbsce"
direction = "ltr"
[[person]]
word = "žona"
agreement = "f"
gender = "female"
age = "adult"
[[emotion]]
expression = "happy"
forms = { f = "wjesoła" }
[[template]]
text = "{emotion} {person}"
"#;

#[test]
fn a_file_in_the_labs_folder_adds_a_language_or_replaces_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("hsb.toml", SORBIAN);
    write("own-german.toml", &SORBIAN.replace("hsb", "de"));
    write("notes.txt", "not looked at");
    let keywords = Keywords::with_folder(folder.path()).expect("both are right");
    let codes: Vec<_> = keywords.languages().map(|language| language.code.as_str()).collect();
    assert_eq!(codes, ["en", "es", "pt", "de", "ar", "fa", "hsb"]);
    for code in ["de", "hsb"] {
        let options = PlanOptions { languages: vec![code.to_owned()], ..PlanOptions::default() };
        let plan = keywords.plan(&options).expect("a plan");
        assert_eq!(plan.iter().map(|query| query.text.as_str()).collect::<Vec<_>>(), ["wjesoła žona"]);
    }
    write("hsb-2.toml", SORBIAN);
    let error = Keywords::with_folder(folder.path()).expect_err("two files for one language");
    assert!(matches!(error, KeywordError::DuplicateLanguage { .. }), "{error}");
    assert!(Keywords::with_folder(&folder.path().join("nowhere")).is_ok());
    let unknown = PlanOptions { languages: vec!["xx".to_owned()], ..PlanOptions::default() };
    let error = keywords.plan(&unknown).expect_err("no such language").to_string();
    assert_eq!(
        error,
        "no keyword file for language `xx` (there are: en, es, pt, de, ar, fa, hsb); \
         a file keywords/xx.toml in the project's folder adds it"
    );
}

#[test]
fn a_broken_file_is_one_error_with_its_line() {
    let long = "ž".repeat(41);
    let many = format!("negative = [{}]\n[[person]]", "\"a b c d e\", ".repeat(6));
    let cases = [
        (
            "\"happy\"",
            "\"hapy\"",
            "11: unknown expression `hapy`: write neutral, happy, sad, surprise, fear, disgust, anger or contempt",
        ),
        ("\"happy\"", "\"non-face\"", "11: unknown expression `non-face`"),
        (
            "f = \"w",
            "m = \"w",
            "10: the form `f` is missing, which `žona` needs: add it to `forms`, or give one `word`",
        ),
        ("agreement = \"f\"\n", "", "5: `žona` needs an `agreement`, because `wjesoła` has several forms"),
        ("forms = { f = \"wjesoła\" }", "", "10: there is no word here: give `word` or `forms`, `noun` or `phrase`"),
        ("\"{emotion} {person}\"", "\" \"", "14: this text is empty"),
        ("{emotion} ", "", "14: the template `{person}` says no emotion"),
        ("{person}", "{persn}", "14: the template `{emotion} {persn}` has the unknown placeholder {persn}"),
        ("{person}", "{noun}", "14: the template `{emotion} {noun}` has {noun} where its place is taken already"),
        ("{person}", "{person", "14: the template `{emotion} {person` has a brace without its partner"),
        ("{person}", "{origin}", "14: the template `{emotion} {origin}` has an {origin} but no {person}"),
        ("žona", "ž\u{202E}ona", "6: the invisible character U+202E has no place in a search word"),
        ("žona", "ž\\u0007ona", "6: the invisible character U+0007"),
        ("žona", "-žona", "6: `-` at the beginning of a word"),
        ("žona", &long, "6: a word or phrase may have at most 40 characters and 6 words"),
        ("[[person]]", &many, "5: all negative terms together may have at most 200 characters and 24 words"),
        ("\"adult\"", "\"old\"", "9: unknown variant `old`"),
        ("\"hsb\"", "\"Sorbian\"", "1: `Sorbian` is no language code"),
        ("direction = \"ltr\"", "direction = ltr", "4: "),
        ("age = \"adult\"", "age = \"adult\"\nwors = 2", "10: unknown field `wors`"),
        ("age = \"adult\"", "age = \"adult\"\n\"\\u001b[2J\" = 2", "10: unknown field `\\u{1b}[2J`"),
    ];
    let mut keywords = Keywords::bundled().expect("bundled");
    for (from, to, expected) in cases {
        let text = SORBIAN.replacen(from, to, 1);
        assert_ne!(text, SORBIAN, "{from}");
        let error = keywords.add(Path::new("hsb.toml"), text.as_bytes()).expect_err(expected).to_string();
        assert!(error.starts_with(&format!("hsb.toml:{expected}")), "expected {expected}\nfound {error}");
    }
    let latin = [SORBIAN.as_bytes(), b"\xFF"].concat();
    let error = keywords.add(Path::new("hsb.toml"), &latin).expect_err("not UTF-8").to_string();
    assert_eq!(error, "hsb.toml:15: the file is not UTF-8: save it as UTF-8");
    let error = keywords.add(Path::new("hsb.toml"), &vec![b'#'; (1 << 20) + 1]).expect_err("too large");
    assert!(matches!(error, KeywordError::TooLarge { .. }));
    let many = format!("{SORBIAN}{}", "[[template]]\ntext = \"{emotion}\"\n".repeat(450));
    let many = format!("{many}{}", "[[emotion]]\nexpression = \"sad\"\nword = \"x\"\n".repeat(450));
    let error = keywords.add(Path::new("hsb.toml"), many.as_bytes()).expect_err("too many");
    assert!(matches!(error, KeywordError::TooMany { found: 203_401, .. }), "{error}");
    assert_eq!(keywords.languages().count(), 6, "a broken file adds nothing");
}

#[test]
fn no_bytes_make_it_panic() {
    arbtest::arbtest(|u| {
        let &(name, text) = u.choose(&BUNDLED)?;
        let mut bytes = if u.arbitrary()? { text.as_bytes().to_vec() } else { SORBIAN.as_bytes().to_vec() };
        for _ in 0..u.int_in_range(1..=8)? {
            let at = u.choose_index(bytes.len().max(1))?.min(bytes.len());
            let end = (at + u.int_in_range(0..=12usize)?).min(bytes.len());
            let put: [u8; 4] = u.arbitrary()?;
            let put = if u.arbitrary()? { bytes[at..end].to_vec() } else { put.to_vec() };
            bytes.splice(at..end, put);
        }
        if let Ok(vocabulary) = read_vocabulary(Path::new(name), &bytes) {
            assert!(vocabulary.queries.iter().all(|query| !query.text.chars().any(char::is_control)));
        }
        Ok(())
    });
}

#[test]
fn right_to_left_text_is_isolated_and_last_in_its_line() {
    let options = PlanOptions { limit: Some(2), ..PlanOptions::default() };
    let table = plan_table(&bundled_plan(options));
    let shown = table.to_string();
    let mut lines = shown.lines();
    assert_eq!(
        lines.next(),
        Some("language        neutral     happy       sad  surprise      fear   disgust     anger  contempt     total")
    );
    assert_eq!(
        lines.next(),
        Some("en English            2         2         2         2         2         2         2         2        16")
    );
    assert_eq!(
        shown.lines().find(|line| line.starts_with("total")),
        Some("total                12        12        12        12        12        12        12        12        96")
    );
    let is_arabic = |c: char| ('\u{600}'..='\u{6FF}').contains(&c);
    let right_to_left: Vec<&str> = shown.lines().filter(|line| line.contains(is_arabic)).collect();
    assert_eq!(right_to_left.len(), 2 * 5);
    for line in right_to_left {
        let (before, isolate) = line.split_once('\u{2067}').expect("an isolate begins");
        assert!(!before.contains(is_arabic) && isolate.ends_with('\u{2069}'), "{line}");
    }
    let json = table.json();
    assert_eq!(json["total"], 96);
    assert_eq!(json["languages"][4]["direction"], "rtl");
    assert_eq!(json["languages"][4]["counts"]["contempt"], 2);
    assert!(!json.to_string().contains('\u{2067}'));
}
