package main

import (
	"errors"
	"os"
	"regexp"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx23 "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

const homepage = "https://github.com/rondokit/rondo"

// writeSPDX writes SPDX 2.3: the program, and that it contains its parts.
func writeSPDX(o options, main string, parts []part) (err error) {
	doc := &spdx23.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName:      "rondo-" + o.version,
		DocumentNamespace: homepage + "/spdx/" + o.version + "/" + o.commit,
		CreationInfo: &spdx23.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "rondo-bill"}},
			Created:  o.created.Format("2006-01-02T15:04:05Z"),
		},
	}
	doc.Packages = append(doc.Packages, packageOf(part{name: main, version: o.version, url: homepage, license: "Apache-2.0"}))
	root := doc.Packages[0].PackageSPDXIdentifier
	doc.Relationships = append(doc.Relationships, relation("DOCUMENT", "DESCRIBES", root))
	for _, p := range parts {
		pkg := packageOf(p)
		doc.Packages = append(doc.Packages, pkg)
		doc.Relationships = append(doc.Relationships, relation(root, "CONTAINS", pkg.PackageSPDXIdentifier))
	}
	f, err := os.Create(o.spdx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return spdxjson.Write(doc, f, spdxjson.Indent("  "))
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

func packageOf(p part) *spdx23.Package {
	purl := "pkg:golang/" + p.name + "@" + p.version
	return &spdx23.Package{
		PackageName: p.name, PackageVersion: p.version,
		PackageSPDXIdentifier:   common.ElementID("Package-" + notInID.ReplaceAllString(p.name, "-")),
		PackageDownloadLocation: p.url,
		PackageLicenseConcluded: p.license, PackageLicenseDeclared: p.license,
		PackageCopyrightText:      "NOASSERTION",
		PackageExternalReferences: []*spdx23.PackageExternalReference{{Category: "PACKAGE-MANAGER", RefType: "purl", Locator: purl}},
	}
}

func relation(of common.ElementID, is string, to common.ElementID) *spdx23.Relationship {
	return &spdx23.Relationship{RefA: common.DocElementID{ElementRefID: of}, RefB: common.DocElementID{ElementRefID: to}, Relationship: is}
}
