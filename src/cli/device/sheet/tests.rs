#![allow(clippy::unwrap_used, reason = "a test stops by panicking")]

use super::*;

fn parsed(text: &str) -> (Vec<Row>, Vec<String>) {
    let mut report = Report::new();
    let (_, rows) = read(Path::new("d.csv"), text, &mut report);
    (rows, report.iter().map(ToString::to_string).collect())
}

#[test]
fn files_of_spreadsheets_are_read() {
    let mut wanted: Option<String> = None;
    for text in [
        "name,role,attr.site,auth\nlamp,sensor,rome,\n\"a, b\",x; y,,both\n",
        "\n# mine\r\nName;Roles;attr.site;auth\r\n\r\n lamp ; sensor;rome; \r\n# no\r\na, b;\"x;y\";;both",
        "name\troles\tattr.site\tauth\nlamp\tsensor\trome\t\na, b\tx;y\t\tboth\n",
    ] {
        let (rows, mistakes) = parsed(text);
        assert_eq!(mistakes, Vec::<String>::new(), "{text}");
        let shown: String =
            rows.iter().map(|row| format!("{} {:?} {:?}\n", row.name, row.device, row.credentials)).collect();
        assert_eq!(*wanted.get_or_insert_with(|| shown.clone()), shown, "{text}");
    }
    let wanted = wanted.unwrap();
    assert!(wanted.contains("lamp") && wanted.contains("a, b") && wanted.contains("\"y\""), "{wanted}");
}

#[test]
fn every_mistake_has_its_line() {
    let (rows, mistakes) =
        parsed("name,role,credentials\n\nlamp,sensor\na/b,,\n# note\nc,,nothing\nd,x,\n\"e\nf\",,\n,,\n");
    assert_eq!(rows.iter().filter(|row| row.is_sound).count(), 1);
    let wanted = [
        "d.csv:3:1: error: this line has 2 fields, and the header 3",
        "d.csv:4:1: error: no device can be called `a/b`",
        "d.csv:6:4: error: `nothing` is no value of `credentials`",
        "d.csv:8:1: error: a field has a line end",
        "d.csv:10:1: error: no device can be called ``",
    ];
    assert_eq!(mistakes.len(), wanted.len(), "{mistakes:#?}");
    for (found, wanted) in mistakes.iter().zip(wanted) {
        assert!(found.starts_with(wanted), "{found}");
    }
}

#[test]
fn every_mistake_of_a_line_is_told_under_its_field() {
    let mut report = Report::new();
    let text = "name;auth;state;credentials\na/b; bth ;\"off\";pasword\n\"x;\"\"y\";;retired; \"both\n\"z\";;retired;both\n";
    let (_, rows) = read(Path::new("d.csv"), text, &mut report);
    let told: Vec<(String, String)> = report
        .iter()
        .map(|found| {
            let (source, span) = found.place.as_ref().unwrap();
            (found.to_string(), source.text().get(span.clone()).unwrap().to_owned())
        })
        .collect();
    let wanted = [
        ("d.csv:2:1: error: no device can be called `a/b`", "a/b"),
        ("d.csv:2:6: error: `bth` is no value of `auth`; did you mean `both`? it is one of any,", "bth"),
        ("d.csv:2:11: error: `off` is no value of `state`; it is one of", "\"off\""),
        ("d.csv:2:17: error: `pasword` is no value of `credentials`; did you mean `password`?", "pasword"),
        ("d.csv:3:19: error: `\"both` is no value of `credentials`", "\"both"),
        ("d.csv:4:14: error: a device that is retired gets no credentials", "both"),
    ];
    assert_eq!(told.len(), wanted.len(), "{told:#?}");
    for ((found, cited), (wanted, text)) in told.iter().zip(wanted) {
        assert!(found.starts_with(wanted) && cited == text, "{found} at {cited}");
    }
    // Whoever has a name is judged on.
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["x;\"y", "z"]);
}

#[test]
fn a_header_is_needed_and_understood() {
    for (text, wanted) in [
        ("", "`name` must be one of them"),
        ("lamp,sensor\n", "no column is called `lamp`"),
        ("name,rolle\nx,\n", "did you mean `role`?"),
        ("name,client_id\nx,\n", "no column is called `client_id`"),
        ("name,role,roles\nx,,\n", "`roles` stands here twice"),
        ("name,attr.site,ATTR.site\nx,a,b\n", "`ATTR.site` stands here twice"),
        ("name,attr.\nx,\n", "no column is called `attr.`"),
        ("name\n", "no devices"),
    ] {
        let (rows, mistakes) = parsed(text);
        assert!(rows.is_empty() && mistakes.join("\n").contains(wanted), "{text:?}: {mistakes:#?}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    let devices: Vec<Written<'_>> = Credentials::WORDS
        .iter()
        .zip(["lamp", "a,b", "\"q\"", "Küche 1", "-x", "=1*1"])
        .map(|((_, credentials), name)| Written {
            name,
            roles: vec!["one", "a,b"],
            attributes: vec![("site", "it's \"here\", or so"), ("b", "#2")],
            auth: Auth::Both,
            state: State::Disabled,
            credentials: *credentials,
        })
        .collect();
    let text = write(&devices).unwrap();
    let (rows, mistakes) = parsed(&text);
    assert_eq!(mistakes, Vec::<String>::new(), "{text}");
    let again: Vec<Written<'_>> = rows
        .iter()
        .map(|row| Written {
            name: row.name.as_str(),
            roles: row.device.roles.iter().map(String::as_str).collect(),
            attributes: row.device.attributes.iter().map(|(key, value)| (&**key, &**value)).collect(),
            auth: row.device.auth,
            state: row.device.state,
            credentials: row.credentials,
        })
        .collect();
    assert_eq!(rows.len(), devices.len());
    assert_eq!(write(&again).unwrap(), text);
}
