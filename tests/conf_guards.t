#!/usr/bin/perl

# What nginx -t says of guards.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/keys_file/;
use Tollgate::Conf;

select STDERR; $| = 1;
select STDOUT; $| = 1;

# Secrets are nobody else's business.
umask 077;

my $t = Test::Nginx->new()->has(qw/http proxy/);

$t->write_file('keys.json', keys_file({ key => 'tg_acme', client => 'acme', tier => 'free' }));
$t->write_file('terms.txt', "one\ntwo three\n");
$t->write_file('nothing.txt', "# nothing\n\n");
$t->write_file('latin1.txt', "Gr\xfcnwald\n");
mkdir $t->testdir() . "/$_" or die "Can't make a folder: $!\n" for qw/folder rules/;

my $rule = <<'EOR';
version = "acme-1"

[[rule]]
id = "own.falcon"
group = "own"
language = "en"
weight = 60
source = "https://example.com/incident-12"
anchors = ["falcon"]
patterns = ['\bfalcon now\b']
hits = ["Falcon now!"]
EOR

$t->write_file('good.toml', $rule);
$t->write_file('rules/good.toml', $rule);
$t->write_file('broken.toml', $rule =~ s/falcon now\\b/falcon( now/r);
$t->write_file('untrue.toml', $rule =~ s/Falcon now!/Falcon then/r);
$t->write_file('unknown.toml', $rule =~ s/weight/wait/r);

# A guard with these lines, which the location uses.
sub guard {
	my ($lines) = @_;
	return (http => "$usual{http}\ntollgate_guard g {\n$lines\n}\n",
		location => "$usual{location}\ntollgate_guards g;");
}

# One that looks for injections by these rules.
sub guard_by {
	my ($rules) = @_;
	return (http => "$usual{http}\ntollgate_guard g {\ninput injection log;\n}\ntollgate_guard_rules $rules;",
		location => "$usual{location}\ntollgate_guards g;");
}

my @refused = (
	['rules that are not there', ['nowhere.toml', 'No such file'], http => "$usual{http}\ntollgate_guard_rules nowhere.toml; # !"],
	['a folder without rules', ['folder', 'no file of rules'], http => "$usual{http}\ntollgate_guard_rules folder; # !"],
	['a broken rule', ['broken.toml', 'rule "own.falcon": pattern 1: unclosed group'],
		http => "$usual{http}\ntollgate_guard_rules broken.toml; # !"],
	['an untrue rule', ['untrue.toml', 'rule "own.falcon"', 'text 1 of its hits'],
		http => "$usual{http}\ntollgate_guard_rules untrue.toml; # !"],
	['a member that is not known', ['unknown.toml', 'line 7: unknown field `wait`'],
		http => "$usual{http}\ntollgate_guard_rules unknown.toml; # !"],
	['rules twice', ['duplicate', 'name a folder'],
		http => "$usual{http}\ntollgate_guard_rules good.toml;\ntollgate_guard_rules good.toml; # !"],
	['rules with a word more', ['"alone"'], http => "$usual{http}\ntollgate_guard_rules good.toml only; # !"],
	['rules of a variable', ['tollgate_guard_rules'], http => "$usual{http}\ntollgate_guard_rules \$host; # !"],
	['no action', ['"input"', 'tollgate_guard g', 'says not what to do'], guard('input pii email; # !')],
	['an unknown kind of thing', ['unknown "magic"', 'pii, secrets'], guard('input magic block; # !')],
	['an unknown kind of data', ['"emil"', 'email'], guard('input pii emil block; # !')],
	['an unknown kind of secret', ['"awz"', 'aws'], guard('input secrets awz block; # !')],
	['injection in answers', ['write "input injection"'], guard('output injection log; # !')],
	['leaks in requests', ['write "output leak"'], guard('input leak log; # !')],
	['tokens for answers', ['use "mask"'], guard('output pii tokenize; # !')],
	['a score of nothing', ['it takes 1 to 100'], guard('input pii block threshold=0; # !')],
	['a pattern without a name', ['name=codename'], guard('input pattern falcon block; # !')],
	['no pattern', ['codename'], guard('input pattern "a(" name=codename block; # !')],
	['a pattern that fits nothing', ['codename'], guard('input pattern "a*" name=codename block; # !')],
	['a pattern that looks around', ['codename'], guard('input pattern "(?<!a)b" name=codename block; # !')],
	['a list without a name', ['name=terms'], guard('input list terms.txt block; # !')],
	['a list that is not there', ['nowhere.txt', 'No such file'], guard('input list nowhere.txt name=a block; # !')],
	['a list of nothing', ['nothing.txt', 'no terms'], guard('input list nothing.txt name=a block; # !')],
	['a list in Latin-1', ['latin1.txt', 'UTF-8'], guard('input list latin1.txt name=a block; # !')],
	['a folder for a list', ['folder', 'not a regular file'], guard('input list folder name=a block; # !')],
	['an unknown role', ['unknown role "robot"', 'assistant'], guard("input pii mask;\nroles robot; # !")],
	['a role twice', ['given twice'], guard("input pii mask;\nroles user user; # !")],
	['roles twice', ['duplicate'], guard("input pii mask;\nroles user;\nroles tool; # !")],
	['roles of nobody', ['"roles" has no effect', 'tollgate_guard g'], guard("output pii mask;\nroles user;")],
	['leaks twice', ['"leak" is said twice'], guard("output leak mask;\noutput leak block; # !")],
	['a guard for nothing', ['tollgate_guard g', 'looks for nothing'], guard('')],
	['a name with blanks', ['invalid guard name', '64 letters'], http => "$usual{http}\ntollgate_guard \"a b\" { # !\ninput pii log; }"],
	['a guard called off', ['invalid guard name', '"off"'], http => "$usual{http}\ntollgate_guard off { # !\ninput pii log; }"],
	['a guard twice', ['declared twice'],
		http => "$usual{http}\ntollgate_guard a { input pii log; }\ntollgate_guard a { # !\ninput pii log; }"],
	['no such guard', ['tollgate_guards b', 'names no guard', 'tollgate_guard b {'], guard('input pii log;'),
		location => "$usual{location}\ntollgate_guards b; # !"],
	['no such guard of a tier', ['guards b', 'names no guard', 'tollgate_tier free'],
		http => "tollgate_zone zone=tollgate:1m;\ntollgate_tier free { # !\nguards b; }"],
	['a guard twice in a location', ['named twice'], guard('input pii log;'),
		location => "$usual{location}\ntollgate_guards g g; # !"],
	['off and on', ['"off" in "tollgate_guards" stands alone'], guard('input pii log;'),
		location => "$usual{location}\ntollgate_guards g off; # !"],
	['a variable', ['tollgate_guards'], guard('input pii log;'),
		location => "$usual{location}\ntollgate_guards \$host; # !"],
	['a line of a guard elsewhere', ['"input" directive is not allowed here'], location => "$usual{location}\ninput pii log; # !"],
);

# classifiers

my $asked = 'location = /_c { internal; proxy_pass http://127.0.0.1:8081; }';
for (
	['nowhere', '', 'invalid location ""'],
	['no path', '_c input', 'the path of an internal location'],
	['a path with arguments', '/_c?a=b input', 'without arguments'],
	['nothing to judge', '/_c', 'add "input"'],
	['masks', '/_c input mask', 'use "block" or "log"'],
	['an unknown format', '/_c input format=magic', 'it takes moderation, llama-guard, classify or presidio'],
	['no model', '/_c input format=llama-guard', 'add "model=NAME"'],
	['a variable', '/_c input model=$model', 'variables'],
	['classes of what has none', '/_c input class=1', '"class=" is for format=classify'],
	['no time', '/_c input timeout=0', 'it takes 10ms to 30s'],
	['no threshold', '/_c input threshold=0', 'it takes 1 to 100'],
	['no window', '/_c input window=1', 'it takes 256 to 64k'],
	['a failure of what lets all pass', '/_c input log on_failure=deny', '"on_failure=deny" has no effect with "log"'],
	['a word too many', '/_c input now', 'unknown "now"'],
	['a word twice', '/_c input cache=1s cache=2s', '"cache=" is given twice'],
)
{
	my ($name, $words, @message) = @$_;
	push @refused, ["a classifier: $name", ['tollgate_guard g', @message],
		guard($words eq '' ? 'classifier ""; # !' : "classifier $words; # !"), server => $asked];
}
push @refused, ['two classifiers of one name', ['two have the name "classifier"', 'name='],
	guard("classifier /_c input;\nclassifier /_c input format=classify; # !"), server => $asked];

my @accepted = (
	['all of it', guard(<<'EOG')],
input  injection block threshold=80;
input  pii email card tokenize threshold=60;
input  secrets block;
input  pattern "(?i)project\s+falcon" name=codename block;
input  list terms.txt name=terms mask;
output pii mask;
output secrets block;
output leak block;
roles  user tool;
EOG
	['classifiers', guard(<<'EOG'), server => $asked],
classifier /_c input timeout=300ms on_failure=deny;
classifier /_c input log format=classify class=1,2 threshold=80 window=2k windows=64 cache=0 name=one;
classifier /_c input block format=llama-guard model=meta-llama/Llama-Guard-3-8B name=two;
classifier /_c input format=presidio entities=PERSON,LOCATION language=de on_failure=allow name=three;
roles user;
EOG
	['a classifier behind another location of the same nginx', guard('classifier /_c input;'),
		server => "location = /_c { internal; proxy_pass http://127.0.0.1:8080/judge; }\n"
		. 'location = /judge { tollgate_guards off; proxy_pass http://127.0.0.1:8081/; }'],
	['a guard of a tier', http => "tollgate_zone zone=tollgate:1m;\ntollgate_guard g { input pii log; }\ntollgate_tier free { guards g; }"],
	['guards where something is on as well', http => "$usual{http}\ntollgate_guard g { input pii log; }",
		server => "tollgate_guards g;\nlocation /off { tollgate off; }"],
	['guards of a tier, and a location for everybody',
		http => "tollgate_zone zone=tollgate:1m;\ntollgate_guard g { input pii log; }\ntollgate_limit l key=\$binary_remote_addr requests=5r/s;\n"
			. "tollgate_tier free { guards g; }",
		server => 'location /all { tollgate on; tollgate_auth none; tollgate_apply l; }'],
	['rules beside the shipped ones', guard_by('good.toml')],
	['rules alone', guard_by('rules alone')],
	['off', location => "$usual{location}\ntollgate_guards off;"],
);
my @warned = (
	['rules that nobody asks for', ['"tollgate_guard_rules" has no effect', 'input injection'],
		http => "$usual{http}\ntollgate_guard_rules good.toml; # !"],
	['a guard that nobody uses', ['tollgate_guard "g" has no effect', 'tollgate_guards g'],
		http => "$usual{http}\ntollgate_guard g { # !\ninput pii log; }"],
	['guards where nothing is on', ['"tollgate_guards g" has no effect', '"tollgate on;"'],
		http => "$usual{http}\ntollgate_guard g { input pii log; }",
		server => "location /off {\ntollgate off;\ntollgate_guards g; # !\n}"],
	['guards of a tier where nobody is in one', ['"guards" of "tollgate_tier free" has no effect', '"tollgate_auth none"',
		'say "tollgate_guards g;"'],
		http => "tollgate_zone zone=tollgate:1m;\ntollgate_guard g { input pii log; }\ntollgate_limit l key=\$binary_remote_addr requests=5r/s;\n"
			. "tollgate_tier free { # !\nguards g; }",
		location => "tollgate on;\ntollgate_auth none;\ntollgate_apply l;"],
	['no location of a classifier', ['"classifier /_c"', 'no location of its own for "/_c"', '"location = /_c { internal;',
		'"tollgate_guards off;"'], guard('classifier /_c input; # !')],
	['a classifier that all can ask', ['"classifier /_c"', '"location = /_c"', 'not internal', 'anybody can have texts judged',
		'add "internal;"'], guard('classifier /_c input; # !'),
		server => 'location = /_c { proxy_pass http://127.0.0.1:8081; }'],
	['a classifier of a tier that all can ask', ['"classifier /_c"', 'not internal'],
		http => "tollgate_zone zone=tollgate:1m;\ntollgate_guard g { classifier /_c input; # !\n}\ntollgate_tier free { guards g; }",
		server => 'location = /_c { proxy_pass http://127.0.0.1:8081; }'],
	['a classifier that is asked about its own questions', ['"classifier /_c"', 'leads back to this nginx', '"/v1/chat/completions"',
		'let "proxy_pass" go to the model'], guard('classifier /_c input; # !'),
		server => 'location = /_c { internal; proxy_pass http://127.0.0.1:8080/v1/chat/completions; }'],
	['a slash too much', ['"classifier /_c"', 'a redirect to "/_c/"', 'requests can\'t be judged'],
		guard('classifier /_c input; # !'), server => 'location /_c/ { internal; proxy_pass http://127.0.0.1:8081; }'],
);

$t->plan(@refused + 2 * @accepted + @warned);
check_refused($t, $_) for @refused;
check_accepted($t, $_) for @accepted;
check_warned($t, $_) for @warned;
