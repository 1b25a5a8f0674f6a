#!/usr/bin/perl

# Where a value is taken to the letter, nginx -t refuses variables, and warns of what looks like a pattern, a
# list or a template: it would fit no token, and say nothing. And of prices by the token, and keys of limits by
# which nothing is limited.

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

my $t = Test::Nginx->new()->has(qw/http/);

$t->write_file('keys.json', keys_file({ key => 'tg_acme', client => 'acme', tier => 'free' }));
$t->write_file('secret', 's' x 32);

my $on = "tollgate on;\ntollgate_auth jwt;\ntollgate_default_tier free;";
my $jwt = "$on\ntollgate_jwt_key_file secret;";

my @refused = (
	(map { my ($line, @message) = @$_; ["'$line'", \@message, location => "$jwt\n$line; # !"] }
		['tollgate_jwt_issuer https://$host/', '"tollgate_jwt_issuer"', '$host', 'write it out'],
		['tollgate_jwt_audience ${server_name}', '"tollgate_jwt_audience"', '$server_name'],
		['tollgate_jwt_client_prefix $host:', '"tollgate_jwt_client_prefix"', '$host'],
		['tollgate_jwt_claim client $jwt_claim_sub', 'tollgate_jwt_claim client', '"realm_access.tier"'],
		['tollgate_jwt_claim tier $.realm_access.tier', 'tollgate_jwt_claim tier', 'a path with dots'],
		['tollgate_jwt_claim tier roles[0]', 'tollgate_jwt_claim tier', 'indexes'],
		['tollgate_model *', '"tollgate_model"', 'without variables and patterns'],
		['tollgate_model ~^llama', '"tollgate_model"', 'patterns'],
		['tollgate_apply $http_limit', '"tollgate_apply"', '$http_limit'],
		['tollgate_apply zone=a', '"zone=a"', '"tollgate_apply"', 'names of "tollgate_limit"']),
	['an issuer of a key file', ['"tollgate_jwt_key_file"', '$host'],
		location => "$on\ntollgate_jwt_key_file secret issuer=\$host; # !"],
	['a prefix of a key file', ['"client_prefix="', '"tollgate_jwt_key_file"', '$host'],
		location => "$on\ntollgate_jwt_key_file secret client_prefix=\$host:; # !"],
	['a default tier by variable', ['"tollgate_default_tier"', '$http_tier', 'write it out'],
		location => "tollgate on;\ntollgate_api_keys keys.json;\ntollgate_default_tier \$http_tier; # !"],
	['a tier by variable', ['"tollgate_tier"', '$http_tier'],
		http => "$usual{http}\ntollgate_tier \$http_tier { # !\n}"],
	['a limit by variable', ['"tollgate_limit"', '$remote_addr'],
		http => "$usual{http}\ntollgate_limit \$remote_addr key=\$remote_addr requests=1r/s; # !"],
	(map { ["a limit by $_->[0]", ["can't be counted by \"\$$_->[0]\"", $_->[1], 'key=$tollgate_client'],
		http => "$usual{http}\ntollgate_limit a key=\$remote_addr\$$_->[0] requests=1r/s; # !"] }
		['status', 'as long as'], ['upstream_status', 'as long as'], ['sent_http_x_plan', 'as long as'],
		['remote_port', 'each request or connection'], ['connection', 'each request or connection']),
	(map { ["a key in $_", ["\"$_\" can't hold a key", 'X-API-Key'],
		location => "tollgate on;\ntollgate_api_keys keys.json;\ntollgate_api_key_header $_; # !"] }
		qw/Origin/),
);

my @warned = (
	(map { my ($line, @message) = @$_; ["'$line'", \@message, location => "$jwt\n$line; # !"] }
		['tollgate_jwt_issuer https://*.example.com', '"tollgate_jwt_issuer"', 'not as a pattern'],
		['tollgate_jwt_issuer ~^https://', '"tollgate_jwt_issuer"', 'not as a pattern'],
		['tollgate_jwt_issuer https://a,https://b', '"tollgate_jwt_issuer"', 'a blank in place of the comma'],
		['tollgate_jwt_issuer "https://login.microsoftonline.com/{tenantid}/v2.0"', '"tollgate_jwt_issuer"',
			'braces included'],
		['tollgate_jwt_issuer off', '"tollgate_jwt_issuer"', 'leave the directive out'],
		['tollgate_jwt_audience *', '"tollgate_jwt_audience"', 'not as a pattern'],
		['tollgate_jwt_audience a,b', '"tollgate_jwt_audience"', 'comma']),
	['an issuer of a key file', ['"tollgate_jwt_key_file"', 'not as a pattern'],
		location => "$on\ntollgate_jwt_key_file secret issuer=https://*.example.com; # !"],
	['a limit by an address that clients write', ['$http_x_forwarded_for', '"a" (tollgate_limit)',
		'"set_real_ip_from"'], http => "$usual{http}\n"
			. 'tollgate_limit a key=$http_x_forwarded_for requests=1r/s; # !',
		location => "$usual{location}\ntollgate_apply a;"],
	['a price of one token', ['"tollgate_price gpt*"', 'multiply it by a million'],
		http => "$usual{http}\ntollgate_price gpt* input=0.00000015 output=0.0000006; # !"],
);

my @accepted = (
	['issuers and audiences', location => "$jwt\n"
		. "tollgate_jwt_issuer https://a.example.com/realms/a accounts.google.com urn:a;\n"
		. "tollgate_jwt_audience api://0a1b/.default account b\@c;\ntollgate_jwt_client_prefix jwt:;\n"
		. 'tollgate_jwt_claim tier https://example.com/tier;'],
	['names with a dollar', http => "$usual{http}\ntollgate_tier 5\$ { }"],
	['a model', location => "$jwt\ntollgate_model meta-llama/Llama-3.1-8B;"],
	['prices', http => "$usual{http}\ntollgate_price a input=0 output=0;\ntollgate_price b input=0.01 output=0;"],
);

$t->plan(@refused + @warned + 2 * @accepted);

###############################################################################

check_refused($t, $_) for @refused;
check_warned($t, $_) for @warned;
check_accepted($t, $_) for @accepted;

###############################################################################
