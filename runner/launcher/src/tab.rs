//! `tab`: writes the lesson into one file, `hello-server.html`, which runs the server in a tab of a browser: the component as
//! cargo built it, the page and the pretended machine of `tab/`, and the scenes of `docs/lecture.md`. The same input makes the same
//! bytes.
//!
//! No bundler is needed, because the modules keep to a form, which is checked here: an `import` takes one line and names a module
//! that stands earlier in the same bundle; a top-level declaration begins its line, and its name is unique in the bundle.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{self, Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hello_failure::Failure;
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use tinyjson::JsonValue;

use crate::{cargo, kit, print};

/// The text of `--help`.
const HELP: &str = "\
Writes the lesson into one file, hello-server.html, which runs the server in a tab of a browser, without the internet.

  runner/tab [FILE]

Without FILE it is tab/hello-server.html in the target folder of cargo. If FILE is a folder, hello-server.html is written into
it; a path counts from the top folder of the project. Write the file again after a change of src. (Or: cargo tab)
";

/// The name of the file.
pub(crate) const NAME: &str = "hello-server.html";

/// The folder with the parts of the page, and the one that has the marks.
const FOLDER: &str = "tab";
const PAGE: &str = "page.html";

/// The modules of each bundle, in the order in which they run; and the styles.
const PAGE_MODULES: [&str; 6] = ["wire.js", "clients.js", "stage.js", "scenes.js", "lesson.js", "page.js"];
const WORKER_MODULES: [&str; 5] = ["abi.js", "interpreter.js", "component.js", "machine.js", "worker.js"];
const STYLES: [&str; 2] = ["wire.css", "style.css"];

/// The page of the scenes.
const LECTURE: &str = "docs/lecture.md";

/// The manifest that names the repository of the project, from its first release on.
const MANIFEST: &str = "runner/Cargo.toml";

/// Writes the file, and prints its path.
///
/// # Errors
/// The command line is wrong, or the server cannot be built, or a part does not have its form, or the file cannot be written.
pub(crate) fn run(words: Vec<OsString>) -> anyhow::Result<u8> {
    let Some(file) = parse(words)? else {
        print(HELP);
        return Ok(0);
    };
    if kit::folder().is_some() {
        return Err(Failure::usage("this builds the project, and a kit has no source", kit::WHOLE_PROJECT).into());
    }
    cargo::add_target()?;
    let file = match file {
        Some(file) if file.is_dir() => file.join(NAME),
        Some(file) => file,
        None => {
            let folder = cargo::target_folder().unwrap_or_else(|| "target".into()).join(FOLDER);
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
            folder.join(NAME)
        }
    };
    let page = page()?;
    let advice = "name a file in a folder that is there, and that you can write to";
    fs::write(&file, &page).map_err(|error| Failure::new(format!("{}: {error}", file.display()), advice))?;
    let size = page.len().div_ceil(1024);
    let address = address(&path::absolute(&file)?);
    print(&format!(
        "{} ({size} KiB) is the lesson, with the server in it.\nOpen it in a browser: {address}\n",
        file.display()
    ));
    Ok(0)
}

/// Reads the command line: the file to write, if one is named; `None` is a request for help.
fn parse(words: Vec<OsString>) -> Result<Option<Option<PathBuf>>, Failure> {
    use lexopt::prelude::*;

    let mut file = None;
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Value(word) if file.is_none() && !word.is_empty() => file = Some(word.into()),
            Value(_) => return Err(Failure::see_help("it takes the name of one file, or nothing")),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(file))
}

/// The address of a file, for a browser.
fn address(file: &Path) -> String {
    let path = file.to_string_lossy();
    // On Windows a path begins with a letter, or with two backslashes.
    let path = if cfg!(windows) { path.replace('\\', "/") } else { path.into_owned() };
    let mut address = format!("file://{}", if path.starts_with('/') { "" } else { "/" });
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b':' | b'-' | b'.' | b'_' | b'~' => {
                address.push(byte.into())
            }
            _ => write!(address, "%{byte:02X}").expect("a string takes everything"),
        }
    }
    address
}

/// The contents of the file.
///
/// # Errors
/// The server cannot be built, or a part does not have its form.
pub(crate) fn page() -> anyhow::Result<String> {
    let part = |name: &str| read(&format!("{FOLDER}/{name}"));
    let bundle = |names: &[&'static str]| -> anyhow::Result<String> {
        let modules = names.iter().map(|&name| Ok((name, part(name)?)));
        Ok(bundle(&modules.collect::<anyhow::Result<Vec<_>>>()?)?)
    };
    let styles = STYLES.iter().map(|name| part(name)).collect::<anyhow::Result<String>>()?;
    let manifest = read(MANIFEST)?;
    let lecture = lecture(&read(LECTURE)?, repository(&manifest))?;
    let template = part(PAGE)?;
    let (page, worker) = (bundle(&PAGE_MODULES)?, bundle(&WORKER_MODULES)?);
    let component = cargo::build(&cargo::SERVER)?;
    let component = fs::read(&component).with_context(|| component.display().to_string())?;
    let sum: String = hmac_sha256::Hash::hash(&component).map(|byte| format!("{byte:02x}")).concat();
    let component = BASE64_STANDARD.encode(gzip(&component));
    let elements = [
        element("style", "style", "", &styles)?,
        element("page script", "script", " type=\"module\"", &page)?,
        // A worker is made from this text. It is no module, so it says that it is strict.
        element("worker", "script", " type=\"text/plain\" id=\"worker\"", &format!("\"use strict\";\n{worker}"))?,
        element(
            "component",
            "script",
            &format!(" type=\"text/plain\" id=\"component\" data-sha256=\"{sum}\""),
            &component,
        )?,
        element("lecture", "script", " type=\"application/json\" id=\"lecture\"", &lecture)?,
    ];
    Ok(compose(&template, &elements)?)
}

fn read(path: &str) -> anyhow::Result<String> {
    let advice = "it is a part of this project: take that again";
    fs::read_to_string(path).map_err(|error| Failure::new(format!("{path}: {error}"), advice).into())
}

/// A failure because a part of the page does not have its form.
fn wrong_form(cause: impl Into<String>) -> Failure {
    Failure::new(cause, "runner/launcher/src/tab.rs says which form it reads: change that, too, or neither")
}

/// Compresses `bytes` in the format gzip, without a name or a time.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    let of_byte = |crc: u32, &byte: &u8| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    };
    let crc = !bytes.iter().fold(!0, of_byte);
    let length = bytes.len() as u32;
    let data = miniz_oxide::deflate::compress_to_vec(bytes, 10);
    [&HEADER[..], &data, &crc.to_le_bytes(), &length.to_le_bytes()].concat()
}

/// The mark of an element, and the element, which must not end earlier than meant.
fn element(mark: &'static str, tag: &str, attributes: &str, text: &str) -> Result<(&'static str, String), Failure> {
    let lower = text.to_ascii_lowercase();
    // `<!--` begins a comment in a script, and changes where the script ends.
    if let Some(end) = [&format!("</{tag}"), "<!--"].into_iter().find(|end| lower.contains(*end)) {
        return Err(wrong_form(format!("the {mark} of the page contains {end}, which an element {tag} cannot")));
    }
    Ok((mark, format!("<{tag}{attributes}>\n{text}</{tag}>")))
}

/// Replaces each mark in the template, such as `<!-- style -->`, by its element.
fn compose(template: &str, elements: &[(&str, String)]) -> Result<String, Failure> {
    let mut page = String::new();
    let mut rest = template;
    let mut missing: Vec<_> = elements.iter().collect();
    while let Some((before, comment)) = rest.split_once("<!-- ") {
        page += before;
        let found = missing.iter().position(|(mark, _)| comment.starts_with(&format!("{mark} -->")));
        rest = match found {
            Some(index) => {
                let (mark, element) = missing.remove(index);
                page += element;
                &comment[mark.len() + " -->".len()..]
            }
            None => {
                page += "<!-- ";
                comment
            }
        };
    }
    page += rest;
    match missing.first() {
        Some((mark, _)) => Err(wrong_form(format!("{FOLDER}/{PAGE} has no mark <!-- {mark} -->"))),
        None => Ok(page),
    }
}

/// One script from these modules, with their names and texts: without `import` and `export`.
fn bundle(modules: &[(&str, String)]) -> Result<String, Failure> {
    let mut script = String::new();
    let mut declared = HashSet::new();
    for (index, (module, text)) in modules.iter().enumerate() {
        let earlier = &modules[..index];
        for (line, number) in text.lines().zip(1..) {
            let wrong = |what: &str| Err(wrong_form(format!("{FOLDER}/{module}, line {number}: {what}: {line}")));
            if line.starts_with("import ") {
                let from = line.split_once(" from \"./").and_then(|(_, from)| from.strip_suffix("\";"));
                if !earlier.iter().any(|(name, _)| from == Some(name)) {
                    return wrong("an import takes one line, and names a module that stands earlier in the bundle");
                }
                if line.contains(" as ") {
                    return wrong("an import cannot change a name");
                }
                continue;
            }
            let code = line.split("/*").next().unwrap_or_default().split("//").next().unwrap_or_default();
            if !code.trim_start().starts_with('*') && (code.contains("import(") || code.contains("import.")) {
                return wrong("there is nothing to import from in one file");
            }
            let kept = line.strip_prefix("export ").unwrap_or(line);
            match declared_name(kept) {
                Some("") => return wrong("a top-level declaration has one name"),
                Some(name) if !declared.insert(name) => return wrong("a top-level name that the bundle already has"),
                None if kept != line => return wrong("an export is a declaration"),
                _ => {}
            }
            script += kept;
            script += "\n";
        }
    }
    Ok(script)
}

/// The name that a line declares at the top level: such a line begins with the declaration. Empty if it declares several.
fn declared_name(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let keywords = ["function* ", "function ", "class ", "const ", "let ", "var "];
    let rest = keywords.into_iter().find_map(|keyword| line.strip_prefix(keyword))?;
    let is_part = |character: char| character.is_alphanumeric() || character == '_' || character == '$';
    rest.split(|character| !is_part(character)).next()
}

/// The address of the repository of the project, if the manifest has it.
fn repository(manifest: &str) -> Option<&str> {
    manifest.lines().find_map(|line| line.strip_prefix("repository = \"")?.strip_suffix('"'))
}

/// The scenes of the lecture, and its list of words, as JSON.
fn lecture(text: &str, repository: Option<&str>) -> Result<String, Failure> {
    let mut parts: Vec<String> = Vec::new();
    let mut has_words = false;
    for (title, events) in sections(text) {
        let wrong = |what: &str| wrong_form(format!("{LECTURE}, \"{title}\": {what}"));
        let html = || html(events, repository).map_err(|what| wrong(&what));
        match (title.as_str(), scene(&title)) {
            _ if has_words => return Err(wrong("it stands behind the list of words")),
            (_, Some((number, name, minutes))) if number == parts.len() + 1 => parts.push(format!(
                "{{\"number\":{number},\"title\":{},\"minutes\":{minutes},\"html\":{}}}",
                json(name),
                json(&html()?)
            )),
            // It is about two terminals, and the page has none.
            ("On Windows", _) => {}
            ("Words", _) => {
                has_words = true;
                parts.push(format!("{{\"words\":{}}}", json(&html()?)));
            }
            _ => return Err(wrong("a scene has the title N. TITLE (M minutes), and the next number")),
        }
    }
    if !has_words || parts.len() < 2 {
        return Err(wrong_form(format!("{LECTURE} has no scenes, or no list of words")));
    }
    Ok(format!("[\n{}\n]\n", parts.join(",\n")))
}

/// The text as JSON, in which nothing ends or changes a script.
fn json(text: &str) -> String {
    let json = JsonValue::from(text.to_owned()).stringify().expect("text is JSON");
    json.replace("</", "<\\/").replace("<!", "\\u003c!")
}

/// The parts of a page below its headings of level 2: their titles and contents.
fn sections(text: &str) -> Vec<(String, Vec<Event<'_>>)> {
    let mut sections: Vec<(String, Vec<Event<'_>>)> = Vec::new();
    let mut in_title = false;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match (event, sections.last_mut()) {
            (Event::Start(Tag::Heading { level: HeadingLevel::H2, .. }), _) => {
                in_title = true;
                sections.push(<_>::default());
            }
            (Event::End(TagEnd::Heading(HeadingLevel::H2)), _) => in_title = false,
            (Event::Text(text) | Event::Code(text), Some((title, _))) if in_title => *title += &text,
            (event, Some((_, events))) => events.push(event),
            (_, None) => {}
        }
    }
    sections
}

/// The number, the name and the minutes of a scene with this title.
fn scene(title: &str) -> Option<(usize, &str, u32)> {
    let (number, rest) = title.split_once(". ")?;
    let (name, minutes) = rest.strip_suffix(" minutes)")?.rsplit_once(" (")?;
    Some((number.parse().ok()?, name, minutes.parse().ok()?))
}

/// The HTML of these parts of a page. A link to what is not on the page or in the web becomes text.
///
/// # Errors
/// What is there that cannot be on the page.
fn html(events: Vec<Event<'_>>, repository: Option<&str>) -> Result<String, String> {
    let mut kept = Vec::new();
    let mut is_link = false;
    for event in events {
        kept.push(match event {
            Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => continue,
            // What the browser of the lesson visits, in words for the test of the lesson and for the page.
            Event::Html(html) if html.starts_with("<!-- browser ") => {
                let url = html.trim_start_matches("<!-- browser ").trim_end().trim_end_matches(" -->");
                Event::Html(format!("<p class=\"browser\">{url}</p>\n").into())
            }
            Event::Html(html) | Event::InlineHtml(html)
                if html.starts_with("<!--") && html.trim_end().ends_with("-->") =>
            {
                continue;
            }
            Event::Html(html) | Event::InlineHtml(html) => return Err(format!("HTML that is no comment: {html}")),
            Event::Start(Tag::Image { dest_url, .. }) => return Err(format!("a picture: {dest_url}")),
            // The renderer would keep the first word only: `console` of `console server`.
            Event::Start(Tag::CodeBlock(kind)) => {
                let class = if let CodeBlockKind::Fenced(words) = kind { words } else { "".into() };
                if !class.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b' ') {
                    return Err(format!("a block of code that is {class}"));
                }
                Event::Html(format!("<pre class=\"{class}\"><code>").into())
            }
            Event::End(TagEnd::CodeBlock) => Event::Html("</code></pre>\n".into()),
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let target = target(&dest_url, repository);
                is_link = target.is_some();
                let Some(target) = target else { continue };
                Event::Start(Tag::Link { link_type, dest_url: target.into(), title, id })
            }
            Event::End(TagEnd::Link) if !is_link => continue,
            event => event,
        });
    }
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, kept.into_iter());
    Ok(html.replace("<a href=\"http", "<a rel=\"noreferrer\" target=\"_blank\" href=\"http"))
}

/// The address in the page of a link in `docs/`, if there is one.
fn target(link: &str, repository: Option<&str>) -> Option<String> {
    // The server of the page listens in the page, and nowhere else.
    if link.starts_with("http://localhost") {
        None
    } else if link == "#words" || link.starts_with("https://") || link.starts_with("http://") {
        Some(link.to_owned())
    } else {
        let file = Some(link).filter(|link| !link.starts_with('#'))?;
        Some(format!("{}/blob/main/docs/{file}", repository?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle_of(texts: &[&str]) -> Result<String, String> {
        let names = ["a.js", "b.js", "c.js"];
        let modules: Vec<_> = names.into_iter().zip(texts.iter().map(|&text| text.to_owned())).collect();
        bundle(&modules).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_bundle_is_its_modules_without_imports_and_exports() {
        let a = "/** @typedef {import(\"./c.js\").C} C */\nexport const a = 1;\n";
        let b =
            "import { a } from \"./a.js\";\n\nexport async function* b() {\n  const a = 2;\n}\nasync function c() {}\n";
        let expected = "/** @typedef {import(\"./c.js\").C} C */\nconst a = 1;\n\nasync function* b() {\n  const a = 2;\n}\nasync \
                        function c() {}\n";
        assert_eq!(bundle_of(&[a, b]).as_deref(), Ok(expected));
    }

    #[test]
    fn a_module_without_the_form_is_an_error_that_names_its_line() {
        for (second, cause) in [
            ("let a;", "line 1: a top-level name that the bundle already has"),
            ("\nexport class a {}", "line 2: a top-level name"),
            ("async function a() {}", "line 1: a top-level name"),
            ("const { b, c } = a;", "line 1: a top-level declaration has one name"),
            ("import {", "line 1: an import takes one line"),
            ("import \"./a.js\";", "an import takes one line"),
            ("import { c } from \"./c.js\";", "names a module that stands earlier"),
            ("import { b } from \"b\";", "names a module that stands earlier"),
            ("import { a as b } from \"./a.js\";", "an import cannot change a name"),
            ("import * as b from \"./a.js\";", "an import cannot change a name"),
            ("  const b = await import(\"./a.js\");", "there is nothing to import from"),
            ("console.log(import.meta.url);", "there is nothing to import from"),
            ("export default 1;", "an export is a declaration"),
            ("export { b };", "an export is a declaration"),
        ] {
            let error = bundle_of(&["const a = 1;", second, "const c = 1;"]).expect_err(second);
            assert!(error.starts_with("tab/b.js, line ") && error.contains(cause), "{second}: {error}");
        }
    }

    #[test]
    fn an_element_does_not_end_earlier_than_meant() {
        assert_eq!(
            element("worker", "script", " a", "1 < 2;\n").expect("fits"),
            ("worker", "<script a>\n1 < 2;\n</script>".into())
        );
        for (tag, text) in [("script", "\"</SCRIPT>\""), ("script", "a <!--b"), ("style", "</style")] {
            assert!(element("style", tag, "", text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_mark_is_replaced_once_and_other_comments_stay() {
        let elements = [("a", "<!-- b -->".to_owned()), ("b", "B".to_owned())];
        assert_eq!(
            compose("<p><!-- b --><!-- c --><!-- a --></p>", &elements).expect("both"),
            "<p>B<!-- c --><!-- b --></p>"
        );
        let error = compose("<!-- a -->", &elements).expect_err("no b").to_string();
        assert_eq!(error, "tab/page.html has no mark <!-- b -->");
    }

    #[test]
    fn compression_is_gzip_with_its_sum_and_its_length() {
        let packed = gzip(b"123456789");
        let (data, end) = packed[10..].split_at(packed.len() - 18);
        assert_eq!(miniz_oxide::inflate::decompress_to_vec(data).expect("deflate"), b"123456789");
        assert_eq!(end, [0x26, 0x39, 0xf4, 0xcb, 9, 0, 0, 0]);
    }

    const SCENES: &str = "# T\n\nIntroduction.\n\n## 1. One `x` (3 minutes)\n\n<!-- browser http://x/ -->\n\n<!-- y -->\n\n[w](#words) [s](steps.md#s) \
                          [b](#below) <http://localhost:9000/> [v]\n\n```console server\n## $ a <b\n```\n\n## 2. Two (4 \
                          minutes)\n\n*b*\n\n## On Windows\n\nc\n\n## Words\n\n| a |\n|---|\n| b |\n\n[v]: https://v.example\n";

    #[test]
    fn the_scenes_become_json_with_html_for_one_page() {
        let json = lecture(SCENES, None).expect("scenes");
        let one = r##"{"number":1,"title":"One x","minutes":3,"html":"<p class=\"browser\">http://x/<\/p>\n<p><a href=\"#words\">w<\/a> s b http://localhost:9000/ <a rel=\"noreferrer\" target=\"_blank\" href=\"https://v.example\">v<\/a><\/p>\n<pre class=\"console server\"><code>## $ a &lt;b\n<\/code><\/pre>\n"}"##;
        let two = r#"{"number":2,"title":"Two","minutes":4,"html":"<p><em>b<\/em><\/p>\n"}"#;
        let words = r#"{"words":"<table><thead><tr><th>a<\/th><\/tr><\/thead><tbody>\n<tr><td>b<\/td><\/tr>\n<\/tbody><\/table>\n"}"#;
        assert_eq!(json, format!("[\n{one},\n{two},\n{words}\n]\n"));
        let json = lecture(SCENES, Some("https://r.example/a")).expect("scenes");
        assert!(json.contains("href=\\\"https://r.example/a/blob/main/docs/steps.md#s\\\">s<"), "{json}");
    }

    #[test]
    fn a_lecture_of_another_form_is_an_error_that_names_the_part() {
        for (before, after, cause) in [
            (
                "## 2. Two",
                "## 3. Two",
                "\"3. Two (4 minutes)\": a scene has the title N. TITLE (M minutes), and the next number",
            ),
            ("(4 minutes)", "(4 min)", "\"2. Two (4 min)\": a scene has the title"),
            ("## Words", "## New words", "\"New words\": a scene has the title"),
            ("[v]: ", "## 3. Three (1 minutes)\n[v]: ", "it stands behind the list of words"),
            ("## Words", "### Words", "has no scenes, or no list of words"),
            ("*b*", "<b>b</b>", "\"2. Two (4 minutes)\": HTML that is no comment: <b>"),
            ("*b*", "![b](b.png)", "a picture: b.png"),
            ("```console server", "```console \"x", "a block of code that is console \"x"),
        ] {
            let error = lecture(&SCENES.replacen(before, after, 1), None).expect_err(after).to_string();
            assert!(error.contains(cause), "{after}: {error}");
        }
    }

    #[test]
    fn the_lecture_of_this_project_has_the_form() {
        let json = lecture(include_str!("../../../docs/lecture.md"), repository(include_str!("../../Cargo.toml")));
        let parts: JsonValue = json.expect("scenes").parse().expect("JSON");
        assert_eq!(parts.get::<Vec<JsonValue>>().expect("a list").len(), 11);
    }

    #[test]
    fn the_address_of_a_file_is_one_that_a_browser_reads() {
        if cfg!(unix) {
            assert_eq!(address(Path::new("/a b/ж#.html")), "file:///a%20b/%D0%B6%23.html");
        } else {
            assert_eq!(address(Path::new(r"C:\a b\c.html")), "file:///C:/a%20b/c.html");
        }
    }

    #[test]
    fn the_command_line_has_one_file_or_none() {
        let parsed =
            |words: &[&str]| parse(words.iter().map(OsString::from).collect()).map_err(|failure| failure.to_string());
        assert_eq!(parsed(&[]), Ok(Some(None)));
        assert_eq!(parsed(&["a"]), Ok(Some(Some("a".into()))));
        assert_eq!(parsed(&["a", "-h"]), Ok(None));
        for words in [&["a", "b"][..], &["--check"], &[""]] {
            assert!(parsed(words).expect_err("a mistake").ends_with("; see --help"), "{words:?}");
        }
    }
}
