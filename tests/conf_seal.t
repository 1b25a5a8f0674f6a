#!/usr/bin/perl

# What nginx -t refuses of "seal=": keys that would be of no use, or could be used by others; and that it changes
# nothing.

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

my $command = $ENV{TOLLGATE_CLI};
plan(skip_all => 'TOLLGATE_CLI is not set') unless defined $command;

my $t = Test::Nginx->new()->has(qw/http/);
my $d = $t->testdir();

$t->write_file('keys.json', keys_file({ key => 'tg_acme', client => 'acme', tier => 'free' }));
system("$command audit seal keygen --seal $d/$_.key --verify $d/$_.verify 2>/dev/null") && die for qw/seal other/;
my $good = $t->read_file('seal.key');

# Whoever starts nginx would write where a link leads.
symlink "$d/elsewhere", "$d/linked.heads" or die "Can't make a link: $!\n";
$t->write_file("$_.heads", '') for qw/shared owned/;
chmod 0666, "$d/shared.heads";
chmod 0600, "$d/owned.heads";

# One file by two names.
my ($base) = $d =~ m!([^/]+)/*$!;
$t->write_file('there.log', '');
symlink "$d/there.log", "$d/link.log" or die "Can't make a link: $!\n";

sub with {
	my ($audit_log, %changes) = @_;
	return location => "tollgate on;\ntollgate_api_keys keys.json;\ntollgate_audit_log $audit_log", %changes;
}

my @refused = (
	['no file', ['none.key', 'No such file', 'tollgate audit seal keygen'], with('audit.log seal=none.key; # !')],
	['nothing', ['"seal="'], with('audit.log seal=; # !')],
	['twice', ['given twice'], with('audit.log seal=seal.key seal=seal.key; # !')],
	['a folder', ['is no file'], with("audit.log seal=$d; # !")],
	['the key that verifies', ['must not lie on this machine'], with('audit.log seal=seal.verify; # !')],
	['something else', ['is no key of a sealed log'], with('audit.log seal=text; # !',
		files => { text => "0123456789abcdef" x 8 }, mode => 0600)],
	['an edited key', ['is damaged'], with('audit.log seal=edited; # !',
		files => { edited => $good =~ s/"generation":0/"generation":1/r }, mode => 0600)],
	['half a key', ['is damaged'], with('audit.log seal=half; # !',
		files => { half => substr($good, 0, 512) }, mode => 0600)],
	['a key that others read', ['chmod 600'], with('audit.log seal=open; # !', files => { open => $good }, mode => 0644)],
	['a key that a group reads', ['chmod 600'], with('audit.log seal=open; # !', files => { open => $good }, mode => 0640)],
	['a link beside the key', ['linked.heads', 'only its owner can write', 'remove it'], with('audit.log seal=linked; # !',
		files => { linked => $good }, mode => 0600)],
	['a file beside the key that others write', ['shared.heads', 'remove it'], with('audit.log seal=shared; # !',
		files => { shared => $good }, mode => 0600)],
	['one key for two logs', ['is the key of "audit.log" as well', 'keygen'],
		with('audit.log seal=seal.key;', server => "location /other {\ntollgate on;\ntollgate_api_keys keys.json;\n"
			. "tollgate_audit_log other.log seal=seal.key; # !\n}")],
	['two keys for one log', ['different "seal="'],
		with('audit.log seal=seal.key;', server => "location /other {\ntollgate on;\ntollgate_api_keys keys.json;\n"
			. "tollgate_audit_log audit.log seal=other.key; # !\n}")],
	['a key here and none there', ['different "seal="'],
		with('audit.log seal=seal.key;', server => "location /other {\ntollgate on;\ntollgate_api_keys keys.json;\n"
			. "tollgate_audit_log audit.log; # !\n}")],
	['two names of one log', ['is the file of', 'give both the same name'],
		with('audit.log seal=seal.key;', server => "location /other {\ntollgate on;\ntollgate_api_keys keys.json;\n"
			. "tollgate_audit_log $d/../$base/audit.log; # !\n}")],
	['a link to the same log', ['is the file of', 'give both the same name'],
		with("$d/there.log;", server => "location /other {\ntollgate on;\ntollgate_api_keys keys.json;\n"
			. "tollgate_audit_log $d/link.log seal=seal.key; # !\n}")],
	['the file of access_log', ['whose lines nothing would seal'],
		with('audit.log seal=seal.key; # !', http => "$usual{http}\naccess_log $d/audit.log;")],
);

my @accepted = (
	['a key', with('audit.log seal=seal.key;')],
	['a file beside the key that is its own', with('audit.log seal=owned;', files => { owned => $good }, mode => 0600)],
	['with a buffer', with('audit.log buffer=64k flush=1s seal=seal.key;')],
	['in two places', with('audit.log seal=seal.key;', server => "location /other {\ntollgate on;\n"
		. "tollgate_api_keys keys.json;\ntollgate_audit_log audit.log seal=seal.key;\n}")],
	['two names of a log without', with("$d/there.log;", server => "location /other {\ntollgate on;\n"
		. "tollgate_api_keys keys.json;\ntollgate_audit_log $d/link.log;\n}")],
	['two logs', with('audit.log seal=seal.key;', server => "location /other {\ntollgate on;\n"
		. "tollgate_api_keys keys.json;\ntollgate_audit_log other.log seal=other.key;\n}")],
);

$t->plan(@refused + 2 * @accepted + 2);

check_refused($t, $_) for @refused;
check_accepted($t, $_) for @accepted;
is($t->read_file('seal.key'), $good, 'the key has not changed');
ok(!-e "$d/seal.key.heads", 'and nothing was made beside it');

###############################################################################
