#!/usr/bin/perl

# What nginx -t refuses of a cluster, and of what says over what a limit holds. Beside each thing that is refused
# stands one like it that is accepted.

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
my $dir = $t->testdir();

$t->write_file('keys.json', keys_file({ key => 'tg_acme', client => 'acme', tier => 'free' }));
$t->write_file('password', "s3cret-of-the-store\n");
$t->write_file('two-lines', "s3cret-of-the-store\nx\n");

my $zone = "tollgate_zone zone=tollgate:1m;\ntollgate_tier free { requests 10r/m; }\n";
my $store = 'redis://127.0.0.1:6379';
my $cluster = "tollgate_cluster $store expected_nodes=2;\n";

# Rows: what is wrong, parts of the message, and what is right instead.
my @cluster = (
	['', ['invalid number of arguments in "tollgate_cluster"'], "$store expected_nodes=2"],
	['expected_nodes=2', ['"tollgate_cluster": the address of a store is missing'], "$store/3 expected_nodes=2"],
	[$store, ['"tollgate_cluster": "on_loss=share", the default, needs "expected_nodes="'],
		"$store on_loss=local"],
	["$store on_loss=share", ['needs "expected_nodes="'], "$store on_loss=share expected_nodes=4"],
	["$store on_loss=ignore", ['on_loss'], "$store on_loss=deny"],
	["$store expected_nodes=0", ['expected_nodes'], "$store expected_nodes=1"],
	["$store expected_nodes=2 exchange=1ms", ['exchange'], "$store expected_nodes=2 exchange=10ms"],
	["$store expected_nodes=2 node=", ['node'], "$store expected_nodes=2 node=a"],
	["$store expected_nodes=2 name=a name=b", ['"name" stands there twice'], "$store expected_nodes=2 name=a"],
	["$store expected_nodes=2 leases=1k", ['invalid "leases=1k"', '64k at least'],
		"$store expected_nodes=2 leases=64k"],
	["$store expected_nodes=2 leases=1m leases=1m", ['"leases=" stands there twice'],
		"$store expected_nodes=2 leases=1m"],
	["$store expected_nodes=2 password=s3cret-of-the-store", ['"password="', '"password_file="'],
		"$store expected_nodes=2 password_file=password"],
	["redis://me:s3cret-of-the-store\@127.0.0.1 expected_nodes=2", ['has a password', '"password_file="'],
		"redis://me\@127.0.0.1 expected_nodes=2 password_file=$dir/password"],
	["$store expected_nodes=2 password_file=missing", ['password_file', 'missing', 'read'],
		undef],
	["$store expected_nodes=2 password_file=two-lines", ['password_file', 'one line'], undef],
	["$store expected_nodes=2 ca=password", ['"ca="', 'rediss://'], undef],
	["$store redis://127.0.0.1:6380 expected_nodes=2", ['"cluster"', '"sentinel=NAME"'],
		"$store redis://127.0.0.1:6380 cluster expected_nodes=2"],
);

my (@refused, @accepted, @warned);

for (@cluster) {
	my ($wrong, $message, $right) = @$_;
	push @refused, [$wrong || 'no words', $message, http => "${zone}tollgate_cluster $wrong; # !"];
	push @accepted, [$right, http => "${zone}tollgate_cluster $right;"] if defined $right;
}

push @refused,
	['two clusters', ['"tollgate_cluster" directive is duplicate'],
		http => "$zone${cluster}tollgate_cluster $store expected_nodes=3; # !"],
	['a tier over no cluster', ['"scope cluster" of "tollgate_tier pro"', 'without "tollgate_cluster"'],
		http => "${zone}tollgate_tier pro { # !\nscope cluster; requests 1r/m; }"],
	['a rule over no cluster', ['"scope=cluster" of "tollgate_limit all"', 'without "tollgate_cluster"'],
		http => "${zone}tollgate_limit all key=all requests=1r/m scope=cluster; # !"],
	['failures over a cluster', ['"scope=cluster" of the limit "all" has no effect on "auth_failures="', 'leave it out'],
		http => "$zone${cluster}tollgate_limit all key=\$binary_remote_addr auth_failures=1r/m scope=cluster; # !"],
	['no such scope of a rule', ['invalid "scope=here" of the limit "all"', '"cluster" or "node"'],
		http => "$zone${cluster}tollgate_limit all key=all requests=1r/m scope=here; # !"],
	['no such scope of a tier', ['invalid "scope chat"', '"cluster" or "node"', '"scopes"'],
		http => "$zone${cluster}tollgate_tier pro { requests 1r/m;\nscope chat; # !\n}"],
	['two scopes of a tier', ['"scope" directive is duplicate'],
		http => "$zone${cluster}tollgate_tier pro { requests 1r/m; scope node;\nscope node; # !\n}"],
	['a cluster without a zone', ['"tollgate on" needs shared memory'], http => $cluster,
		location => "tollgate on; # !\ntollgate_api_keys keys.json;"];

push @accepted,
	['scopes of limits', http => "$zone$cluster"
		. 'tollgate_tier here { scope node; requests 1r/m; } tollgate_tier there { scope cluster; requests 1r/m; }'
		. ' tollgate_limit all key=all requests=1r/m scope=node;'
		. ' tollgate_limit both key=all requests=1r/m auth_failures=1r/m scope=cluster;',
		location => "$usual{location}\ntollgate_apply all both;"],
	['the scope of a node without a cluster',
		http => "${zone}tollgate_tier here { scope node; requests 1r/m; }"],
	['a cluster before its zone', http => "$cluster$zone"];

push @warned,
	['a cluster for nobody', ['tollgate_cluster has no effect', 'no location says "tollgate on"'],
		http => "$zone${cluster} # !", location => 'return 204;'];

$t->plan(@refused + 2 * @accepted + @warned + 1);

check_refused($t, $_) for @refused;
check_accepted($t, $_) for @accepted;

# The place is that of the directive.
for (@warned) {
	my ($name, $message, %changes) = @$_;
	my ($status, $output) = nginx_t($t, %changes);
	is(join(', ', grep { index($output, $_) < 0 } @$message), '', "warned, $name") or diag($output);
}

my (undef, $output) = nginx_t($t, http => "${zone}tollgate_cluster redis://me:s3cret-of-the-store\@h expected_nodes=2;");
unlike($output, qr/s3cret-of-the-store/, 'no password is told');

###############################################################################
