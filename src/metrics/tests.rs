use super::*;

fn families() -> Vec<Family> {
    let kicks = [("reason", "locked_out")];
    vec![
        Family {
            name: "c_kicks_total",
            help: "Sessions closed.",
            kind: Kind::Counter,
            samples: vec![
                Sample::new(&kicks, 2.into()),
                Sample::new(&[("reason", "a\"b\\c\nd"), ("of", "x")], 3.into()),
            ],
        },
        Family {
            name: "c_hash_seconds",
            help: "Seconds.",
            kind: Kind::Histogram,
            samples: vec![
                Sample::of("_bucket", &[("le", "+Inf")], 1.into()),
                Sample::of("_sum", &[], Duration::from_millis(1_054).into()),
                Sample::of("_count", &[], 1.into()),
            ],
        },
    ]
}

#[test]
fn the_text_is_that_of_prometheus() {
    let text = "\
# HELP c_kicks_total Sessions closed.
# TYPE c_kicks_total counter
c_kicks_total{reason=\"locked_out\"} 2
c_kicks_total{reason=\"a\\\"b\\\\c\\nd\",of=\"x\"} 3
# HELP c_hash_seconds Seconds.
# TYPE c_hash_seconds histogram
c_hash_seconds_bucket{le=\"+Inf\"} 1
c_hash_seconds_sum 1.054000
c_hash_seconds_count 1
";
    assert_eq!(to_text(&families()), text);
}

#[test]
fn what_is_written_is_read_again() {
    let read = Read::parse(&to_text(&families())).unwrap();
    assert_eq!(read.sum("c_kicks_total", &[]), Some(5.0));
    assert_eq!(read.sum("c_kicks_total", &[("of", "x")]), Some(3.0));
    assert_eq!(read.sum("c_kicks_total", &[("of", "y")]), None);
    assert_eq!(read.sum("c_hash_seconds_sum", &[]), Some(1.054));
    let labels: Vec<_> = read.of("c_kicks_total").filter_map(|sample| sample.label("reason")).collect();
    assert_eq!(labels, ["locked_out", "a\"b\\c\nd"]);
}

#[test]
fn what_is_not_of_the_format_is_refused_with_its_line() {
    let head = "# HELP c_total A.\n# TYPE c_total counter\n";
    for (text, line) in [
        ("c_total 1\n", 1),
        ("# TYPE c_total counter\n", 1),
        ("# HELP c A.\n# TYPE c counter\n", 2),
        ("# HELP c_total A.\n# TYPE c_total gauge\n", 2),
        ("# HELP c A.\n# TYPE c summary\n", 2),
        (&format!("{head}c_total 1"), 3),
        (&format!("{head}c_total one\n"), 3),
        (&format!("{head}c_total -1\n"), 3),
        (&format!("{head}c_total NaN\n"), 3),
        (&format!("{head}c_total{{a=\"1\",a=\"2\"}} 1\n"), 3),
        (&format!("{head}c_total{{a=\"1}} 1\n"), 3),
        (&format!("{head}c_total{{a=\"\\x\"}} 1\n"), 3),
        (&format!("{head}other_total 1\n"), 3),
        (&format!("{head}c_total_sum 1\n"), 3),
        (&format!("{head}c_total 1\nc_total 2\n"), 4),
        (&format!("{head}\n"), 3),
        (&format!("{head}{head}"), 4),
    ] {
        assert_eq!(Read::parse(text).map_err(|error| error.line), Err(line), "{text}");
    }
    assert_eq!(Read::parse("").unwrap(), Read::default());
}
