#!/usr/bin/perl

# Warnings of a configuration with many servers: ten of a kind are told, the same one once, and the others are
# counted.

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

my $t = Test::Nginx->new()->has(qw/http rewrite limit_req/)->plan(8);

$t->write_file('keys.json', keys_file({ key => 'tg_acme', client => 'acme', tier => 'free' }));
$t->write_file('rule.conf', "tollgate_apply by_tenant;\ntollgate_max_body 2m;\n");

###############################################################################

my $rule = "$usual{http}\ntollgate_limit by_tenant key=\$tollgate_tenant requests=1r/s;";

my $output = run($t, 50, http => $rule, each => 'tollgate_apply by_tenant;');
is(shown($output, qr/\[warn\].*"tollgate_apply by_tenant" has no effect/), 10, 'ten of many rules');
like($output, qr/\[warn\].* 40 more warnings about "tollgate_apply"/, 'and how many there are');

$output = run($t, 50, http => $rule, each => 'include rule.conf;');
is(shown($output, qr/\[warn\].*"tollgate_apply by_tenant" has no effect/), 1, 'an included one once');
is(shown($output, qr/\[warn\].*"tollgate_max_body 2m"/), 1, 'a body in the included file once');

$output = run($t, 50, http => $usual{http}, each => "tollgate_auth jwt;\ntollgate_default_tier free;\n"
	. 'tollgate_jwt_key_request /_jwks;');
is(shown($output, qr/\[warn\].*has no location/), 10, 'ten of many servers without a location');
like($output, qr/or "tollgate off;" if no requests with tokens come there/, 'with both ways out');

$output = run($t, 10, http => $rule, each => 'tollgate_apply by_tenant;');
is(shown($output, qr/\[warn\].*"tollgate_apply by_tenant" has no effect/), 10, 'ten of ten');
unlike($output, qr/more warnings/, 'are all');

###############################################################################

sub shown {
	my ($output, $pattern) = @_;
	return scalar grep { /$pattern/ } split /\n/, $output;
}

sub run {
	my ($t, $servers, %conf) = @_;
	my $on = $conf{each} =~ /tollgate_auth/ ? 'tollgate on;' : "tollgate on;\ntollgate_api_keys keys.json;";
	my $more = join "\n", map {
		"server {\nlisten 127.0.0.1:8080;\nserver_name s$_;\n$on\n$conf{each}\n}"
	} 1 .. $servers;
	my ($status, $output) = nginx_t($t, http => "$conf{http}\n$more", location => '');
	diag($output) if $status;
	return $output;
}

###############################################################################
