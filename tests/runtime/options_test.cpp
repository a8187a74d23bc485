// Options by name: the environment, the file, what wins, what is refused and in which words. Rows are taken from the table,
// so that a further option is tested by being there.
#include <map>

#include "tests/runtime/options_support.hpp"

namespace axle::test {
namespace {

/// As it must stand in a TOML file.
std::string toml_value(const std::string& value) {
  const bool bare = !value.empty() && (value == "true" || value == "false" ||
                                       value.find_first_not_of("0123456789") == std::string::npos);
  return bare ? value : '"' + value + '"';
}

std::string refused_variable(const std::string& name, const std::string& value) {
  const variable set(name, value);
  return refusal([] { run({.driver = "sim"}, nothing()); });
}
std::string refused_file(const std::string& text) {
  const file options(text);
  const std::string said = refusal([&] { static_cast<void>(load_options(options.path)); });
  EXPECT_TRUE(said.starts_with(options.path + ":")) << said;
  return said.starts_with(options.path) ? said.substr(options.path.size() + 1) : said;
}

// ---- the table --------------------------------------------------------------------------------------------------------

TEST_F(options, are_those_of_run_options_by_default) {
  const variable none("AXLE_DRIVER", nullptr);
  for (const option_state& each : options_of_a_run()) {
    EXPECT_EQ(each.value, each.preset) << each.name;
    EXPECT_EQ(each.source, option_source::preset) << each.name;
    EXPECT_FALSE(each.about.empty()) << each.name;
  }
  EXPECT_EQ(find(options_of_a_run(), "tasks_per_turn").value, "256");
  EXPECT_EQ(find(options_of_a_run(), "run_budget").value, "500us");
  EXPECT_EQ(find(options_of_a_run(), "buffer_bytes").value, "16KiB");
}

TEST_F(options, each_comes_from_the_environment) {
  for (const option_state& each : options_of_a_run()) {
    const variable set(variable_of(each.name), other_than(each));
    const option_list got = options_of_a_run();
    EXPECT_EQ(find(got, each.name).value, other_than(each));
    EXPECT_EQ(find(got, each.name).source, option_source::environment);
    EXPECT_EQ(find(got, each.name).where, variable_of(each.name));
    for (const option_state& other : got)
      if (other.name != each.name && other.name != "driver") EXPECT_EQ(other.value, other.preset);
  }
}

TEST_F(options, each_comes_from_the_file) {
  for (const option_state& each : options_of_a_run()) {
    const file text("# by hand\n" + std::string(each.name) + " = " + toml_value(other_than(each)) + "\n");
    const variable named("AXLE_CONFIG", text.path);
    const variable none(each.name == "driver" ? "AXLE_DRIVER" : "AXLE_TEST_NOTHING", nullptr);
    const option_list got = options_of_a_run();
    EXPECT_EQ(find(got, each.name).value, other_than(each));
    EXPECT_EQ(find(got, each.name).source, option_source::file);
    EXPECT_EQ(find(got, each.name).where, text.path + ":2");
  }
}

TEST_F(options, as_they_are_printed_they_can_be_read) {
  for (const bool changed : {false, true}) {
    std::string text;
    for (const option_state& each : options_of_a_run())
      text += std::string(each.name) + " = " + toml_value(changed ? other_than(each) : each.preset) + "\n";
    const file all(text);
    const variable none("AXLE_DRIVER", nullptr);
    for (const option_state& each : options_of_a_run(load_options(all.path)))
      EXPECT_EQ(each.value, changed ? other_than(each) : each.preset) << each.name;
  }
}

TEST_F(options, each_refuses_nonsense_by_name) {
  for (const option_state& each : options_of_a_run()) {
    if (each.name == "cores" || each.name == "driver")
      continue;  // texts: refused by whom they are for, see below
    for (const char* nonsense : {"-1", "nonsense", "1 s", "99999999999999999999", "1.", "5e3"}) {
      const std::string said = refused_variable(variable_of(each.name), nonsense);
      EXPECT_TRUE(said.starts_with(variable_of(each.name) + ": \"" + nonsense + "\" is not ")) << said;
      const std::string in_file = refused_file("\n\n" + std::string(each.name) + " = \"" + nonsense + "\"\n");
      EXPECT_TRUE(in_file.starts_with("3: " + std::string(each.name) + " = \"" + nonsense + "\" is not "))
          << in_file;
    }
  }
}

TEST_F(options, each_stands_in_the_help) {
  const std::string help = options_help();
  for (const option_state& each : options_of_a_run()) {
    const std::string line =
        std::string(each.name) + ", " + variable_of(each.name) + ": " + std::string(each.about);
    EXPECT_NE(help.find(line), std::string::npos) << help;
  }
  EXPECT_NE(
      help.find(
          "a duration such as \"500us\", \"10s\" or \"1.5ms\", from 1us to 10s; default 500us; may change"),
      std::string::npos)
      << help;
}

// ---- values -----------------------------------------------------------------------------------------------------------

TEST_F(options, durations_have_units) {
  const std::pair<const char*, std::chrono::nanoseconds> good[] = {
      {"500us", 500us},  {"10s", 10s},     {"1.5ms", 1'500us},
      {"0s", 0s},        {"2min", 2min},   {"1h", 1h},
      {"3ns", 3ns},      {"0.25s", 250ms}, {"1.000001ms", 1'000'001ns},
      {"1.50s", 1'500ms}};
  for (const auto& [text, value] : good) {
    const variable set("AXLE_DRAIN", text);
    EXPECT_EQ(options_from_environment().drain, value) << text;
  }
  for (const char* text : {"5", "s", ".5s", "1.s", "1.5ns", "1.0000001us", "10 s", "10S", "5 parsecs", "-1s",
                           "1..5s", "3000000h", "inf", "+1s"})
    EXPECT_NE(refused_variable("AXLE_DRAIN", text).find("a duration such as"), std::string::npos) << text;
}

TEST_F(options, sizes_have_binary_units_or_none) {
  const std::pair<const char*, std::uint32_t> good[] = {
      {"512", 512}, {"16KiB", 16'384}, {"1.5KiB", 1'536}, {"1MiB", 1 << 20}};
  for (const auto& [text, value] : good) {
    const variable set("AXLE_BUFFER_BYTES", text);
    EXPECT_EQ(options_from_environment().buffer_bytes, value) << text;
  }
  for (const char* text : {"16KB", "16K", "KiB", "1.3KiB", "4GiB", "17179869185GiB"})
    EXPECT_NE(refused_variable("AXLE_BUFFER_BYTES", text)
                  .find("a size such as 16384 or \"16KiB\", from 64 to 16MiB"),
              std::string::npos)
        << text;
}

TEST_F(options, numbers_have_a_range) {
  EXPECT_EQ(refused_variable("AXLE_TASKS_PER_TURN", "0"),
            "AXLE_TASKS_PER_TURN: \"0\" is not a whole number, from 1 to 1000000");
  EXPECT_EQ(refused_variable("AXLE_BUFFERS", "32769"),
            "AXLE_BUFFERS: \"32769\" is not a whole number, from 1 to 32768");
  EXPECT_EQ(
      refused_variable("AXLE_RUN_BUDGET", "11s"),
      "AXLE_RUN_BUDGET: \"11s\" is not a duration such as \"500us\", \"10s\" or \"1.5ms\", from 1us to 10s");
  const variable largest("AXLE_SEED", "18446744073709551615");
  EXPECT_EQ(options_from_environment().seed, UINT64_MAX);
}

TEST_F(options, of_the_program_have_the_same_range) {
  EXPECT_EQ(refusal([] { run({.tasks_per_turn = 0}, nothing()); }),
            "run_options::tasks_per_turn: \"0\" is not a whole number, from 1 to 1000000");
  EXPECT_NE(refusal([] { run({.drain = -1s}, nothing()); }).find("run_options::drain"), std::string::npos);
}

TEST_F(options, booleans_are_words_or_digits) {
  for (const auto& [text, value] :
       std::map<std::string, bool>{{"true", true}, {"1", true}, {"false", false}, {"0", false}}) {
    const variable set("AXLE_HANDLE_SIGNALS", text);
    EXPECT_EQ(options_from_environment().handle_signals, value) << text;
  }
  EXPECT_EQ(refused_variable("AXLE_DEBUG", "yes"), "AXLE_DEBUG: \"yes\" is not true or false");
}

TEST_F(options, a_bare_number_of_cores_is_a_number_of_loops) {
  const variable set("AXLE_CORES", "3");
  EXPECT_EQ(options_from_environment().cores.count(), 3);
  EXPECT_EQ(load_options(file("cores = 2").path).cores.count(), 2);
  EXPECT_EQ(load_options(file("cores = \"0-1\"").path).cores.text(), "0-1");
  const variable none("AXLE_CORES", nullptr);
  const option_list one_processor = options_of_a_run({.cores = "0"});
  EXPECT_EQ(find(one_processor, "cores").value, "0-0") << "processor 0, and not no loops";
}

TEST_F(options, an_empty_variable_is_none) {
  const variable set("AXLE_TASKS_PER_TURN", "");
  const variable no_file("AXLE_CONFIG", "");
  EXPECT_EQ(find(options_of_a_run(), "tasks_per_turn").source, option_source::preset);
}

// ---- refused ----------------------------------------------------------------------------------------------------------

TEST_F(options, a_misspelt_variable_is_refused_with_the_nearest) {
  EXPECT_EQ(refused_variable("AXLE_RUN_BUGDET", "1ms"),
            "environment: no option is named AXLE_RUN_BUGDET; did you mean AXLE_RUN_BUDGET?");
  EXPECT_EQ(refused_variable("AXLE_CONFIGS", "x"),
            "environment: no option is named AXLE_CONFIGS; did you mean AXLE_CONFIG?");
  EXPECT_EQ(refused_variable("AXLE_TASKS_A_TURN", ""),
            "environment: no option is named AXLE_TASKS_A_TURN; did you mean AXLE_TASKS_PER_TURN?");
  const std::string far = refused_variable("AXLE_FLUX_CAPACITOR", "1");
  EXPECT_NE(far.find("there are AXLE_CORES, AXLE_DRIVER, "), std::string::npos) << far;
}

TEST_F(options, variables_of_the_tests_and_of_the_tools_are_left_alone) {
  const variable seed("AXLE_TEST_ANYTHING", "1"), install("AXLE_DEV_NO_INSTALL", "1"), other("AXLES", "2");
  run(nothing());
}

TEST_F(options, a_misspelt_key_is_refused_with_the_nearest) {
  EXPECT_EQ(refused_file("drain = \"1s\"\nrunbudget = \"1ms\"\n"),
            "2: no option is named \"runbudget\"; did you mean run_budget?");
  EXPECT_EQ(refused_file("[cors]\nx = 1\n"), "1: no option is named \"cors\"; did you mean cores?");
  EXPECT_NE(refused_file("flux_capacitor = 1").find("there are cores, driver, "), std::string::npos);
}

TEST_F(options, a_key_of_the_wrong_type_is_refused) {
  EXPECT_TRUE(refused_file("cores = [0, 1]").starts_with("1: cores = an array, not \"all\", "));
  EXPECT_TRUE(
      refused_file("seed = 1.5").starts_with("1: seed = a number with a fraction, not a whole number"));
  EXPECT_TRUE(refused_file("drain = 2026-11-23").starts_with("1: drain = a date or time, not a duration"));
  EXPECT_TRUE(refused_file("[debug]").starts_with("1: debug = a table, not true or false"));
  EXPECT_TRUE(refused_file("drain = 10").starts_with("1: drain = \"10\" is not a duration"));
}

TEST_F(options, a_file_that_is_not_toml_is_refused_with_its_line) {
  EXPECT_TRUE(refused_file("drain = \"1s\"\nseed = = 2\n").starts_with("2: not TOML: "));
  EXPECT_TRUE(refused_file("seed = 1\nseed = 2\n").starts_with("2: not TOML: "));
  EXPECT_TRUE(refused_file(std::string("seed = 1\n\xff\xfe\n")).find(": not TOML: ") != std::string::npos);
  const file empty("");
  EXPECT_EQ(load_options(empty.path).tasks_per_turn, 256U);
}

TEST_F(options, a_file_that_cannot_be_read_is_refused_with_its_name) {
  const auto missing = [] { static_cast<void>(load_options("/nowhere/axle.toml")); };
  const std::string said = refusal<std::system_error>(missing);
  EXPECT_EQ(said, "cannot read the options in \"/nowhere/axle.toml\": No such file or directory");
  const auto directory = [] { static_cast<void>(load_options("/")); };
  EXPECT_NE(refusal<std::system_error>(directory).find("\"/\": Is a directory"), std::string::npos);
  const variable named("AXLE_CONFIG", "/nowhere/axle.toml");
  const std::string at_start = refusal<std::system_error>([] { run(nothing()); });
  EXPECT_EQ(at_start, "AXLE_CONFIG = \"/nowhere/axle.toml\": cannot be read: No such file or directory");
}

TEST_F(options, cores_of_the_environment_are_refused_by_its_name) {
  const std::string said = refused_variable("AXLE_CORES", "phisical");
  EXPECT_TRUE(said.starts_with("AXLE_CORES: cores = \"phisical\": ")) << said;
  EXPECT_TRUE(refused_variable("AXLE_CORES", "0").starts_with("AXLE_CORES: \"0\" is not \"all\", "));
}

// ---- what wins --------------------------------------------------------------------------------------------------------

TEST_F(options, the_environment_wins_over_the_file_and_that_over_the_program) {
  const file text("seed = 3\nbuffers = 30\n");
  const variable named("AXLE_CONFIG", text.path), set("AXLE_SEED", "4");
  const option_list got = options_of_a_run({.ring_entries = 20, .buffers = 20, .seed = 2});
  EXPECT_EQ(find(got, "seed").value, "4");
  EXPECT_EQ(find(got, "seed").source, option_source::environment);
  EXPECT_EQ(find(got, "buffers").value, "30");
  EXPECT_EQ(find(got, "buffers").source, option_source::file);
  EXPECT_EQ(find(got, "ring_entries").value, "20");
  EXPECT_EQ(find(got, "ring_entries").source, option_source::program);
  EXPECT_EQ(find(got, "buffer_bytes").source, option_source::preset);
}

TEST_F(options, a_driver_that_the_program_names_stays) {
  const file text("driver = \"epoll\"\n");
  const variable named("AXLE_CONFIG", text.path), set("AXLE_DRIVER", "no such driver");
  const option_list got = options_of_a_run({.driver = "sim"});
  EXPECT_EQ(find(got, "driver").value, "sim");
  EXPECT_EQ(find(got, "driver").source, option_source::program);
}

TEST_F(options, of_a_file_that_the_program_loads_go_over_what_it_is_given) {
  const file text("driver = \"sim\"\nseed = 3\n");
  const run_options loaded = load_options(text.path, {.driver = "epoll", .buffers = 9, .seed = 1});
  EXPECT_EQ(loaded.driver, "sim");
  EXPECT_EQ(loaded.seed, 3U);
  EXPECT_EQ(loaded.buffers, 9U);
}

TEST_F(options, of_a_command_line_can_win_over_all) {
  const variable set("AXLE_SEED", "4"), other("AXLE_BUFFERS", "40");
  run_options given = options_from_environment();
  given.seed = 5;
  given.ask_environment = false;
  const option_list got = options_of_a_run(given);
  EXPECT_EQ(find(got, "seed").value, "5");
  EXPECT_EQ(find(got, "buffers").value, "40");
  EXPECT_EQ(find(got, "driver").value, "sim");
}

TEST_F(options, debug_can_be_switched_off_from_outside) {
  const variable set("AXLE_DEBUG", "0");
  EXPECT_EQ(find(options_of_a_run({.debug = true}), "debug").value, "false");
}

TEST_F(options, texts_outlive_what_they_were_read_from) {
  run_options loaded;
  {
    const file text("driver = \"sim\"\ncores = \"0-0\"\n");
    loaded = load_options(std::string(text.path));
  }
  EXPECT_EQ(loaded.driver, "sim");
  EXPECT_EQ(loaded.cores.text(), "0-0");
}

TEST_F(options, of_a_guest_leave_it_one_loop) {
  const variable set("AXLE_CORES", "2"), driver("AXLE_DRIVER", "epoll");
  guest<unsigned> hosted(run_options{}, []() -> task<unsigned> { co_return core_count(); }());
  while (hosted.turn()) {}
  EXPECT_EQ(hosted.result(), 1U);
}

TEST_F(options, are_listed_as_text) {
  const variable set("AXLE_SEED", "4");
  const auto main = []() -> task<std::string> {
    static_cast<void>(change_option("drain", "2s"));
    co_return to_string(current_options());
  };
  const std::string text = run({.buffers = 7}, main);
  for (const char* line :
       {"seed = \"4\" (AXLE_SEED; default \"0\")\n", "buffers = \"7\" (the program; default \"2048\")\n",
        "drain = \"2s\" (changed while running; default \"10s\")\n", "ring_entries = \"1024\"\n"})
    EXPECT_NE(text.find(line), std::string::npos) << text;
}

}  // namespace
}  // namespace axle::test
