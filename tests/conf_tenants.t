#!/usr/bin/perl

# What nginx -t says of tenants, salts, schedulers, and the fields that the log has of keys.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/json keys_file/;
use Tollgate::Conf;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

# Secrets are nobody else's business.
umask 077;

my $t = Test::Nginx->new()->has(qw/http proxy map/);

my %acme = (key => 'tg_acme', client => 'acme', tier => 'free');
my %on = (location => "tollgate on;\ntollgate_api_keys keys.json;\n");
my %vllm = (location => "$on{location}tollgate_engine vllm;\n");
$t->write_file('keys.json', keys_file({ %acme }));
$t->write_file('some.json', keys_file({ %acme, tenant => 'a' }, { %acme, key => 'tg_b' }));
$t->write_file('all.json', keys_file({ %acme, tenant => 'a' }));
$t->write_file('secret', 's' x 32);
$t->write_file('short', 's' x 31 . "\n");
$t->write_file('open', 's' x 32);
chmod 0644, $t->testdir() . '/open';

my @refused = (
	['no mode of salts', ['tollgate_cache_salt', 'tenant', 'client'], location => "$vllm{location}tollgate_cache_salt all; # !"],
	['salts off, with a secret', ['tollgate_cache_salt', 'alone'],
		location => "$vllm{location}tollgate_cache_salt off secret=secret; # !"],
	['a secret without its name', ['tollgate_cache_salt', 'secret=PATH'],
		location => "$vllm{location}tollgate_cache_salt tenant tg_secret; # !"],
	['a secret that is not there', ['tollgate_cache_salt', 'No such file'],
		location => "$vllm{location}tollgate_cache_salt tenant secret=nowhere; # !"],
	['a short secret', ['tollgate_cache_salt', '32 bytes', 'has 31', 'openssl rand'],
		location => "$vllm{location}tollgate_cache_salt tenant secret=short; # !"],
	['salts twice', ['duplicate'],
		location => "$vllm{location}tollgate_cache_salt tenant; tollgate_cache_salt client; # !"],
	['salts for an engine that takes none', ['tollgate_cache_salt', 'tollgate_engine openai', '"vllm" or "sglang"'],
		location => "$on{location}tollgate_cache_salt tenant; # !"],
	['salts for nobody', ['tollgate_cache_salt', 'tollgate_auth none'],
		http => "$usual{http}\ntollgate_limit all key=all requests=1r/s;",
		location => "tollgate on; tollgate_auth none; tollgate_apply all; tollgate_engine vllm;\n"
			. 'tollgate_cache_salt tenant; # !'],
	['no scheduler', ['tollgate_scheduler', 'llm-d', 'pass'], location => "$vllm{location}tollgate_scheduler llmd; # !"],
	['vllm as the scheduler of another engine', ['tollgate_scheduler vllm', 'tollgate_engine sglang'],
		location => "$on{location}tollgate_engine sglang;\ntollgate_scheduler vllm; # !"],
	['no field', ['"client" in "tollgate_audit_fields"', 'metadata.KEY'],
		location => "$on{location}tollgate_audit_fields name client; # !"],
	['a field twice', ['"metadata.a"', 'once is enough'],
		location => "$on{location}tollgate_audit_fields metadata metadata.a; # !"],
	['fields off, and on', ['"off" in "tollgate_audit_fields"'],
		location => "$on{location}tollgate_audit_fields off name; # !"],
	['an objective that is none', ['invalid "objective A B"', 'tollgate_tier free', 'InferenceObjective'],
		http => "tollgate_zone zone=tollgate:1m;\ntollgate_tier free { objective 'A B'; } # !"],
	['an objective of a model', ['objective', 'belongs to the tier'],
		http => "tollgate_zone zone=tollgate:1m;\ntollgate_tier free { model m { objective a; } } # !"],
	['two objectives', ['duplicate'],
		http => "tollgate_zone zone=tollgate:1m;\ntollgate_tier free { objective a; objective b; } # !"],
	(map {
		["a priority that is none: $_", ["invalid \"priority $_\"", 'tollgate_tier free'],
			http => "tollgate_zone zone=tollgate:1m;\ntollgate_tier free { priority $_; } # !"]
	} qw/high 1.5 +1 - 2147483648/),
	(map {
		my ($what, $member) = @$_;
		["a key with $what", ['tollgate_api_keys', '"k_1"', "\"$member->[0]\""],
			files => { 'bad.json' => keys_file({ %acme, @$member }) },
			location => "tollgate on;\ntollgate_api_keys bad.json; # !"]
	} (
		['an empty tenant', [tenant => '']],
		['a tenant that is none', [tenant => "a\nb"]],
		['a tenant that is its key', [tenant => 'tg_acme']],
		['a name that is its key', [name => 'tg_acme']],
		['no date', [created => 'yesterday']],
		['metadata that are a list', [metadata => ['a']]],
		['metadata that are empty', [metadata => {}]],
		['metadata in metadata', [metadata => { a => { b => 1 } }]],
		['null in metadata', [metadata => { a => undef }]],
		['its key in metadata', [metadata => { a => 'tg_acme' }]],
		['an odd name in metadata', [metadata => { 'a b' => 1 }]],
		['control characters in metadata', [metadata => { a => "\x1b[2J" }]],
		['too many metadata', [metadata => { map { ("a$_" => 1) } 1 .. 17 }]],
		['metadata that are too long', [metadata => { map { ("a$_" => 'x' x 200) } 1 .. 6 }]],
	)),
);

my $tenants = "$usual{http}\ntollgate_limit t key=\$tollgate_tenant requests=1r/s;";
my @warned = (
	['a limit by tenants that nobody has', ['"tollgate_apply t" has no effect', 'give keys a "tenant"'],
		http => $tenants, location => "$on{location}tollgate_apply t; # !"],
	['a limit by tenants that some have', ['1 of 2 keys have no "tenant"', 'limit "t"'],
		http => $tenants, location => "tollgate on;\ntollgate_api_keys some.json;\ntollgate_apply t; # !"],
	['a secret that all may read', ['tollgate_cache_salt', 'can be read by every user'],
		location => "$vllm{location}tollgate_cache_salt tenant secret=open; # !"],
	['fields without a log', ['tollgate_audit_fields', 'has no effect'],
		location => "$on{location}tollgate_audit_fields name; # !"],
	['an objective for nobody', ['"objective" of "tollgate_tier free" has no effect', 'tollgate_scheduler llm-d'],
		http => "tollgate_zone zone=tollgate:1m;\ntollgate_tier free { objective a; } # !"],
	['a priority for nobody', ['"priority" of "tollgate_tier free" has no effect', 'tollgate_scheduler vllm'],
		http => "tollgate_zone zone=tollgate:1m;\ntollgate_tier free { priority 1; } # !",
		location => "$on{location}tollgate_scheduler llm-d;"],
);

my @accepted = (
	['salts', location => "$vllm{location}tollgate_cache_salt tenant;"],
	['salts by a secret', location => "$vllm{location}tollgate_cache_salt client secret=secret;"],
	['salts off for any engine', location => "$on{location}tollgate_cache_salt off;"],
	['a limit by tenants that all have', http => $tenants,
		location => "tollgate on;\ntollgate_api_keys all.json;\ntollgate_apply t;"],
	['a limit by a map of tenants', http => "$tenants\nmap \$tollgate_tenant \$g { '' none; default \$tollgate_tenant; }\n"
			. 'tollgate_limit g key=$g requests=1r/s;',
		location => "tollgate on;\ntollgate_api_keys some.json;\ntollgate_apply g;",
		server => "location /t { tollgate on; tollgate_api_keys all.json; tollgate_apply t; }"],
	['schedulers', http => "tollgate_zone zone=tollgate:1m;\ntollgate_tier free { objective a-1.b; priority -5; }",
		location => "$vllm{location}tollgate_scheduler llm-d;",
		server => "location /v { $vllm{location} tollgate_scheduler vllm; } location /o { $on{location} tollgate_scheduler off; }"],
	['fields', location => "$on{location}tollgate_audit_log audit.log;\ntollgate_audit_fields name created metadata.a-1.b metadata.c;"],
	['a key with all of them', files => { 'full.json' => keys_file({ %acme, tenant => 'a', name => 'n',
			created => '2026-01-01T00:00:00Z',
			metadata => { map({ ("a$_" => $_) } 1 .. 14), b => JSON::PP::true, c => 'x' x 200 } }) },
		location => "tollgate on;\ntollgate_api_keys full.json;"],
);

$t->plan(@refused + @warned + 2 * @accepted);

check_refused($t, $_) for @refused;
check_warned($t, $_) for @warned;
check_accepted($t, $_) for @accepted;

###############################################################################
